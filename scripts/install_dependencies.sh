#!/usr/bin/env bash
# Installs the packages that Heap Sync needs, of Debian 12 or 13. Ends quickly if all of them are installed already.
#
#   scripts/install_dependencies.sh [--dry-run] [GROUP …]     without a group: --build
#
#   --runtime     libraries that the installed programs link to; the image's final stage
#   --build       compiler, libraries and headers; enough for scripts/demo.sh
#   --database    PostgreSQL, for scripts/demo.sh --cluster
#   --test        programs that the tests run besides our own
#   --tools       Go, npm, a JDK and Maven, for scripts/install_test_tools.sh and the example clients, if the machine has no suitable ones
#   --lint        clang-format, clang-tidy, and clang for the fuzz preset, of version 14; Debian 13 has no such clang, and the checks that
#                 need it are skipped there
#   --container   tools that build and run the image without a Docker engine
#   --all         everything above
#
# With --dry-run apt-get only says what it would do.
# Works as root or, through sudo, as any other user; needs bash and apt only.
set -euo pipefail

readonly GO_MINIMUM_MINOR=19 # Go 1.19: Debian 12's own, and enough for the pinned grpcurl.

runtime_packages=(
  ca-certificates libgrpc++1.51 libprotobuf32 libabsl20220623 libcurl4 libssl3 librocksdb7.8
  libprometheus-cpp-core1.0 libmicrohttpd12 libsystemd0 libspdlog1.10 liblz4-1 libxxhash0 zlib1g libzstd1
  libodbc2 libpq5)
build_packages=(
  cmake ninja-build g++ ccache pkg-config git ca-certificates
  libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler libabsl-dev
  libgoogle-common-protos-java libcurl4-openssl-dev libssl-dev nlohmann-json3-dev librocksdb-dev
  prometheus-cpp-dev libmicrohttpd-dev libsystemd-dev dpkg-dev file libcli11-dev libboost-dev
  liblz4-dev libxxhash-dev zlib1g-dev libzstd-dev unixodbc-dev libpq-dev libgtest-dev libgmock-dev)
test_packages=(lld libbenchmark-dev python3 python3-grpcio python3-protobuf python3-yaml curl jq gzip zstd openssl prometheus tinyproxy
  chromium chromium-driver python3-selenium fonts-liberation python3-h2 python3-venv nginx-light bash-completion groff-base systemd
  postgresql odbc-postgresql libsqliteodbc odbcinst mariadb-server-core mariadb-client-core odbc-mariadb faketime default-jre-headless
  protobuf-compiler-grpc-java-plugin)
lint_packages=(clang-format clang-tidy clang-14 libclang-rt-14-dev shellcheck)
jdk_package=openjdk-17-jdk-headless
container_packages=(buildah podman runc debootstrap)
if grep --quiet '^VERSION_ID="13"' /etc/os-release 2>/dev/null; then
  runtime_packages=(
    ca-certificates libgrpc++1.51t64 libprotobuf32t64 libabsl20240722 libcurl4t64 libssl3t64 librocksdb9.10
    libprometheus-cpp-core1.0 libmicrohttpd12t64 libsystemd0 libspdlog1.15 liblz4-1 libxxhash0 zlib1g libzstd1
    libodbc2 libpq5)
  lint_packages=(shellcheck)
  jdk_package=openjdk-21-jdk-headless
fi

usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"; }

# The machine's Go is sufficient if it is 1.19 or later.
has_go() {
  local version
  version="$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null)" || return 1
  [[ "${version}" =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= GO_MINIMUM_MINOR))
}

tool_packages() {
  has_go || echo golang-go
  command -v npm >/dev/null || echo npm
  command -v javac >/dev/null || echo "${jdk_package}"
  command -v mvn >/dev/null || echo maven
}

is_installed() {
  [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

wanted=()
install_options=(--no-install-recommends)
add_group() {
  case "$1" in
    --runtime) wanted+=("${runtime_packages[@]}") ;;
    --build) wanted+=("${build_packages[@]}") ;;
    --database) wanted+=(postgresql) ;;
    --test) wanted+=("${test_packages[@]}") ;;
    --tools) mapfile -t -O "${#wanted[@]}" wanted < <(tool_packages) ;;
    --lint) wanted+=("${lint_packages[@]}") ;;
    --container) wanted+=("${container_packages[@]}") ;;
    --all) for group in --runtime --build --test --tools --lint --container; do add_group "${group}"; done ;;
    --help | -h) usage && exit 0 ;;
    *) echo "install_dependencies: unknown group $1" >&2 && usage >&2 && exit 2 ;;
  esac
}

if [[ "${1:-}" == --dry-run ]]; then
  install_options+=(--simulate)
  shift
fi
if (($# == 0)); then
  set -- --build
fi
for group in "$@"; do
  add_group "${group}"
done

missing=()
for package in "${wanted[@]}"; do
  is_installed "${package}" || missing+=("${package}")
done
if ((${#missing[@]} == 0)); then
  echo "Packages: all ${#wanted[@]} installed."
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "install_dependencies: this machine has no apt-get; Heap Sync is built for Debian 12 and 13. Missing: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "install_dependencies: run as root, or install sudo. Missing: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo --preserve-env=DEBIAN_FRONTEND)
fi

echo "Packages: installing ${#missing[@]} of ${#wanted[@]}: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt_get=("${as_root[@]}" apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)
"${apt_get[@]}" update
"${apt_get[@]}" install "${install_options[@]}" "${missing[@]}"
