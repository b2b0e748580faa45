#!/usr/bin/env bash
# Style and static analysis. The quick checks run with the tests too; clang-tidy is slow and runs here only.
#
#   scripts/lint.sh [--all] [--base REF] [--preset NAME]
#
#   --all           clang-tidy over every source; otherwise over those that changed since REF and are not committed yet
#   --base REF      base of the changes (default: the upstream branch, or else the last commit)
#   --preset NAME   preset of the build folder with the compile commands (default: dev); configured if necessary
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

all=0 base="" preset=dev
while (($# > 0)); do
  case "$1" in
    --all) all=1 ;;
    --base) base="$2" && shift ;;
    --preset) preset="$2" && shift ;;
    *) sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0" && exit 2 ;;
  esac
  shift
done

scripts/install_dependencies.sh --build --lint
failed=0
step() {
  local name="$1"
  shift
  echo "== ${name}"
  "$@" || { echo "FAILED: ${name}" >&2 && failed=1; }
}

step clang-format tests/checks/format_check.sh
step layers /usr/bin/python3 tests/checks/layer_check.py
step documents /usr/bin/python3 tests/checks/documents_check.py
step words /usr/bin/python3 tests/checks/words_check.py
step "private paths" /usr/bin/python3 tests/checks/private_path_check.py
step "proto lint" tests/checks/proto_lint.sh "${PWD}/build/tools/bin/buf"
mapfile -d '' scripts < <(git ls-files -z -- '*.sh' '.ci/run')
if command -v shellcheck >/dev/null; then
  step shellcheck shellcheck "${scripts[@]}"
else
  echo "SKIPPED: shellcheck is not installed" >&2
fi

if ((all)); then
  mapfile -d '' sources < <(git ls-files -z -- '*.cc')
else
  base="${base:-$(git rev-parse --verify --quiet '@{upstream}' || echo HEAD)}"
  mapfile -d '' sources < <(git diff -z --name-only --diff-filter=d "${base}" -- '*.cc')
fi
if ((${#sources[@]} == 0)); then
  echo "== clang-tidy: no sources changed since ${base}"
  exit "${failed}"
fi
cmake --preset "${preset}" >/dev/null
# Generated headers must exist before a source that includes them can be parsed.
cmake --build --preset "${preset}" --target help | sed -n 's/^\(heapsync_[a-z0-9_]*_proto\): .*/\1/p' |
  xargs --no-run-if-empty cmake --build --preset "${preset}" --target
# shellcheck disable=SC2317  # Called by step.
tidy() {
  printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p "build/${preset}" --quiet
}
step clang-tidy tidy
exit "${failed}"
