#!/usr/bin/env bash
# Breaks the promises of docs/guarantees.md on purpose, one at a time, in a copy of the sources: each must make a named test fail.
#
#   scripts/mutation_check.sh [--only TEXT] [--stale]
#
#   --only TEXT   only mutants whose name, file or test program contains the text
#   --stale       builds nothing; only checks that the sources still contain the code to be changed
#
# tests/mutation/mutants.py lists them. It takes some minutes. Exit code 1: a broken promise was not noticed, or a mutant is stale.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
  sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"
  exit
fi
exec /usr/bin/python3 tests/mutation/mutation_check.py "$@"
