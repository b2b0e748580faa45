#!/usr/bin/env bash
# Fails when a C++ file that git knows is not as clang-format would write it. Generated code is not in git.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mapfile -d '' files < <(git ls-files -z -- '*.h' '*.cc')
if ((${#files[@]} == 0)); then
  echo "format_check: no files; nothing was checked" >&2
  exit 1
fi
clang-format --dry-run -Werror "${files[@]}"
