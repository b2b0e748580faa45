# shellcheck shell=bash
# To be sourced. The slim base system that images and packages are tried on, made of nothing but Debian's packages.

# make_debian_base TARBALL RELEASE: makes it by debootstrap if it is not there yet. Needs root.
make_debian_base() {
  local tarball="$1" release="$2" folder
  [[ -s "${tarball}" ]] && return
  mkdir -p "$(dirname "${tarball}")"
  folder="$(mktemp -d)"
  if ! debootstrap --variant=minbase "${release}" "${folder}/base" >"${folder}/log" 2>&1; then
    tail -n 20 "${folder}/log" >&2
    rm -rf "${folder}"
    return 1
  fi
  # Files that Debian's own slim image leaves out as well.
  tar --create --numeric-owner --directory "${folder}/base" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' . | gzip -1 >"${tarball}.$$"
  mv "${tarball}.$$" "${tarball}"
  rm -rf "${folder}"
}
