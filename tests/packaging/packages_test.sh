#!/usr/bin/env bash
# Makes the Debian packages of a build, installs them into a bare system of this machine's release and uses what they install:
# packages_test.sh BUILD_FOLDER
set -euo pipefail
source_dir="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
build="$1"
cache="${HEAPSYNC_DOCKER_CACHE:-${source_dir}/build/docker}"
release="$(. /etc/os-release && echo "${VERSION_CODENAME}")"
source "${source_dir}/tests/e2e/debian_base.sh"

skip() {
  echo "SKIPPED: $1" >&2
  if [[ "${CI:-}" == true ]]; then
    exit 1
  fi
  exit 77
}
for tool in cpack dpkg-deb debootstrap systemd-analyze groff; do
  command -v "${tool}" >/dev/null || skip "no ${tool}; scripts/install_dependencies.sh --build --test --container"
done
((EUID == 0)) || skip "a bare system is made by root"

work="$(mktemp -d)"
server=
clean_up() {
  local code=$?
  trap - EXIT
  [[ -z "${server}" ]] || kill "${server}" 2>/dev/null || true
  wait
  rm -rf "${work}"
  exit "${code}"
}
trap clean_up EXIT
say() { printf '== %s (%d s)\n' "$1" "${SECONDS}"; }
fail() { echo "packages_test: $1" >&2 && exit 1; }

say "Packages"
cpack -G DEB --config "${build}/CPackConfig.cmake" -B "${work}/packages" >"${work}/cpack.log" 2>&1 || { cat "${work}/cpack.log" >&2 && exit 1; }
mkdir "${work}/debs"
cp "${work}"/packages/*.deb "${work}/debs"
ls -l "${work}/debs"
server_deb=("${work}"/debs/heapsync-server_*.deb) command_deb=("${work}"/debs/heapsync_*.deb)
for deb in "${server_deb[0]}" "${command_deb[0]}"; do
  depends="$(dpkg-deb --field "${deb}" Depends)"
  [[ "${depends}" == *libgrpc++* && "${depends}" == *libabsl* ]] || fail "libraries are missing in: ${depends}"
done

say "A bare system"
root="${work}/root"
mkdir "${root}"
make_debian_base "${cache}/debian-${release}.tar.gz" "${release}" || fail "debootstrap failed"
tar --extract --numeric-owner --directory "${root}" --file "${cache}/debian-${release}.tar.gz"
cp --recursive "${work}/debs" "${root}/debs"
cp /etc/resolv.conf "${root}/etc/resolv.conf"
in_root() { DEBIAN_FRONTEND=noninteractive chroot "${root}" "$@"; }
in_root apt-get -q update >"${work}/apt.log" 2>&1 || { cat "${work}/apt.log" >&2 && exit 1; }
# Instead of all of systemd, which cannot run here.
in_root sh -c 'apt-get -q -y install --no-install-recommends /debs/*.deb systemd-standalone-sysusers' >"${work}/apt.log" 2>&1 || { cat "${work}/apt.log" >&2 && exit 1; }

say "What they install"
[[ "$(in_root heapsync --version)" == "heapsync "* ]] || fail "heapsync does not run"
[[ "$(in_root heapsync-server --version)" == "heapsync-server "* ]] || fail "heapsync-server does not run"
[[ "$(in_root stat --format='%A %G' /etc/heapsync)" == "drwxr-x--- heapsync" ]] || fail "/etc/heapsync: $(in_root stat --format='%A %G' /etc/heapsync)"
[[ "$(in_root stat --format='%A %G' /etc/heapsync/server.env)" == "-rw-r----- heapsync" ]] || fail "rights of server.env"
[[ "$(in_root stat --format='%A %U' /etc/heapsync/credentials)" == "drwx------ root" ]] || fail "rights of credentials"
complete() {
  bash -c 'source /usr/share/bash-completion/bash_completion
    root="$1" program="$2" && shift 2 && source "${root}/usr/share/bash-completion/completions/${program}"
    COMP_LINE="${program} $*" COMP_POINT=$((${#program} + 1 + $(printf %s "$*" | wc -c)))
    read -r -a COMP_WORDS <<<"${COMP_LINE//=/ = }"
    [[ "${COMP_LINE}" == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    compopt() { :; }
    "_${program//-/_}" && echo "${COMPREPLY[*]}"' complete "${root}" "$@"
}
[[ "$(complete heapsync dead-letters re)" == replay ]] || fail "completion of a subcommand: $(complete heapsync dead-letters re)"
[[ "$(complete heapsync dead-letters replay --rea)" == "--reason=" ]] || fail "completion of a flag"
[[ "$(complete heapsync import --ack=del)" == delivered ]] || fail "completion of a value"
[[ "$(complete heapsync-server --log_level=de)" == debug ]] || fail "completion of a setting: $(complete heapsync-server --log_level=de)"

say "Manual pages"
for page in man1/heapsync.1 man8/heapsync-server.8; do
  [[ -s "${build}/packaging/references/${page#*/}" ]] || fail "no ${page}"
  warnings="$(groff -man -Tutf8 -ww -z "${build}/packaging/references/${page#*/}" 2>&1)"
  [[ -z "${warnings}" ]] || fail "${page}: ${warnings}"
done
[[ "$(groff -man -Tascii -P-cbu "${build}/packaging/references/heapsync-server.8")" == *--max_memory_bytes* ]] || fail "the manual page lacks a flag"

say "The unit"
# Not by --root: its state is that of a running system.
unit="${root}/lib/systemd/system/heapsync-server.service"
sed "s|/usr/bin/heapsync-server|${root}/usr/bin/heapsync-server|" "${unit}" >"${work}/heapsync-server.service"
SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "${work}/heapsync-server.service" 2>&1 | tee "${work}/verify.log"
! grep --quiet heapsync "${work}/verify.log" || fail "systemd complains of the unit"
systemd-analyze security --no-pager --offline=true --threshold=20 "${work}/heapsync-server.service" | tail -n 1

say "A call"
read -r grpc_port http_port < <(/usr/bin/python3 -c \
  "import sys; sys.path.insert(0, '${source_dir}/tests/e2e'); import harness; print(*harness.free_ports(2))")
# As the unit starts it: a user without rights in the group, the settings from the environment.
cat >>"${root}/etc/heapsync/server.env" <<SETTINGS
HEAPSYNC_APP_ID=1234567890
HEAPSYNC_LISTEN=127.0.0.1:${grpc_port}
HEAPSYNC_HTTP_LISTEN=127.0.0.1:${http_port}
HEAPSYNC_DATA_DIR=/var/lib/heapsync
HEAPSYNC_HEAP_US_URL=http://127.0.0.1:1
SETTINGS
in_root install -d -m 0700 -o nobody /var/lib/heapsync
chroot --userspec=nobody:nogroup --groups="$(in_root getent group heapsync | cut -d: -f3)" "${root}" \
  sh -c 'set -a && . /etc/heapsync/server.env && exec heapsync-server' >"${work}/server.log" 2>&1 &
server=$!
for ((i = 0; i < 300; ++i)); do
  in_root heapsync health --server="127.0.0.1:${grpc_port}" >/dev/null 2>&1 && break
  kill -0 "${server}" || { cat "${work}/server.log" >&2 && fail "the server ended"; }
  sleep 0.1
done
answer="$(in_root heapsync track --server="127.0.0.1:${grpc_port}" --identity=ada --event=Installed)"
[[ "${answer}" == *receipt* ]] || fail "no receipt: ${answer}"
kill "${server}" && wait "${server}"
server=

say "Removal"
in_root dpkg --purge heapsync-server heapsync >"${work}/purge.log" 2>&1 || { cat "${work}/purge.log" >&2 && exit 1; }
[[ ! -e "${root}/etc/heapsync" && ! -e "${root}/usr/bin/heapsync-server" ]] || fail "something is left"
[[ -n "$(ls "${root}/var/lib/heapsync")" ]] || fail "the spool was removed"
say "Done"
