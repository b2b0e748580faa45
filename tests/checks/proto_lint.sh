#!/usr/bin/env bash
# proto_lint.sh BUF: buf's STANDARD rules over proto/. Exit code 77 (ctest: skipped) without buf, a failure with CI=true.
set -euo pipefail
buf="$1"
cd "$(dirname "${BASH_SOURCE[0]}")/../../proto"
if [[ ! -x "${buf}" ]]; then
  echo "SKIPPED: no buf at ${buf}; scripts/install_test_tools.sh puts it there" >&2
  [[ "${CI:-}" == true ]] && exit 1
  exit 77
fi
"${buf}" lint
