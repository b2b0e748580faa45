#!/usr/bin/env bash
# Fails when a C++ file that git knows is not as clang-format 14 would write it; other versions differ. Generated code is not in git.
# Exit code 77 (ctest: skipped) without that version, a failure with CI=true.
set -euo pipefail
if [[ "$(clang-format --version 2>/dev/null)" != *"version 14."* ]]; then
  echo "SKIPPED: no clang-format 14; scripts/install_dependencies.sh --lint installs it in Debian 12" >&2
  [[ "${CI:-}" == true ]] && exit 1
  exit 77
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mapfile -d '' files < <(git ls-files -z -- '*.h' '*.cc')
if ((${#files[@]} == 0)); then
  echo "format_check: no files; nothing was checked" >&2
  exit 1
fi
clang-format --dry-run -Werror "${files[@]}"
