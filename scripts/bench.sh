#!/usr/bin/env bash
# Measures the server against a bare gRPC server on this machine, from a bare Debian 12 to the table: installs what is
# missing, builds the release preset, runs heapsync_bench, with ghz as a second load generator if it is available.
#
#   scripts/bench.sh [ARGUMENT OF heapsync_bench …]
#
#   --full        10,000,000 items of backlog and longer rounds: some minutes, and 8 GB of disk under /tmp
#   --keep_awake  for virtual machines: see docs/performance.md
#   --json=FILE   all figures
#
# `build/release/tests/bench/load/heapsync_bench --help` lists the rest. The machine should be idle otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install_dependencies.sh --build --test --tools
scripts/install_test_tools.sh --ghz
cmake --preset release
cmake --build --preset release --target heapsync_bench

ghz=()
if [[ -x build/tools/bin/ghz ]]; then
  ghz=("--ghz=${PWD}/build/tools/bin/ghz")
fi
exec build/release/tests/bench/load/heapsync_bench "${ghz[@]}" "$@"
