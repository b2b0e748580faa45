#!/usr/bin/env bash
# Builds and tests Heap Sync in a bare system of a Debian release, as its user would: packages by scripts/install_dependencies.sh, the
# release preset, the tests that need nothing else, and the Debian packages, which are installed into another bare system.
#
#   scripts/try_release.sh [--image] [RELEASE]     trixie (Debian 13) unless given
#
#   --image   the image on that release, too
#
# Needs root, debootstrap and a few GiB; for --image also scripts/install_dependencies.sh --test --container. The system stays in
# build/releases/RELEASE for the next run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/e2e/debian_base.sh

image=0
release=trixie
for argument in "$@"; do
  case "${argument}" in
    --image) image=1 ;;
    -*) sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0" && exit 2 ;;
    *) release="${argument}" ;;
  esac
done
# Beside the programs of these packages the tests need only what is built.
readonly TEST_PACKAGES=(python3 python3-grpcio python3-protobuf python3-yaml openssl groff-base systemd bash-completion debootstrap
  postgresql zstd)
readonly END_TO_END='^e2e\.(config|crash|failover|python_client|reload|samples|security|service_config|shutdown)$'
root="${PWD}/build/releases/${release}"

say() { printf '\n== %s: %s (%d s so far)\n' "${release}" "$1" "${SECONDS}"; }
in_root() { DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root chroot "${root}" bash -euo pipefail -c "$1"; }

say "A bare system"
mounted=()
unmount() {
  local code=$?
  trap - EXIT
  ((${#mounted[@]} == 0)) || umount "${mounted[@]}"
  exit "${code}"
}
trap unmount EXIT
if [[ ! -e "${root}/etc/os-release" ]]; then
  make_debian_base "build/docker/debian-${release}.tar.gz" "${release}"
  mkdir -p "${root}"
  tar --extract --numeric-owner --directory "${root}" --file "build/docker/debian-${release}.tar.gz"
fi
cp /etc/resolv.conf "${root}/etc/resolv.conf"
if ! mountpoint --quiet "${root}/proc"; then
  mount -t proc proc "${root}/proc"
  mounted+=("${root}/proc")
fi
# The sources as they are now, without what is built.
mkdir -p "${root}/src"
find "${root}/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' name; do
  [[ ! -e "${name}" ]] || printf '%s\0' "${name}"
done | tar --create --null --files-from=- | tar --extract --no-same-owner --directory "${root}/src"

say "Packages"
in_root "cd /src && scripts/install_dependencies.sh --build && apt-get -q -y install --no-install-recommends ${TEST_PACKAGES[*]}"
in_root "cd /src && scripts/install_dependencies.sh --dry-run --all >/dev/null"

say "Building"
in_root "cd /src && cmake --preset release && cmake --build --preset release"

say "Testing"
in_root "cd /src && ctest --preset release --label-exclude 'e2e|check|docker' --parallel $(nproc)"
in_root "cd /src && ctest --preset release --tests-regex '${END_TO_END}'"
in_root "cd /src && ctest --preset release --tests-regex '^packages'"

if ((image)); then
  say "The image"
  HEAPSYNC_DEBIAN="${release}" tests/e2e/docker_test.sh
fi
say "Done"
