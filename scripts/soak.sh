#!/usr/bin/env bash
# Runs the complete system under faults, kills and restarts for the given time, and reports whether every promise was kept.
#
#   scripts/soak.sh [--minutes N] [--rate EVENTS_PER_SECOND] [--restart-every SECONDS] [--seed N] [--preset NAME] [--no-build]
#
# The default is two minutes. From half an hour on, the middle half is one life of the server, over which the growth of memory and
# descriptors is judged. Data and logs are in build/soak; Ctrl-C ends it early and judges the data so far.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release build=1
arguments=()
while (($# > 0)); do
  case "$1" in
    --preset) preset="$2" && shift ;;
    --no-build) build=0 ;;
    --minutes | --rate | --restart-every | --seed) arguments+=("$1" "$2") && shift ;;
    *) sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0" && exit 2 ;;
  esac
  shift
done

if ((build)); then
  scripts/install_dependencies.sh --build --test
  cmake --preset "${preset}" --log-level=WARNING
  cmake --build --preset "${preset}" --target heapsync-server fake-heap
fi
exec /usr/bin/python3 tests/e2e/soak.py --server "build/${preset}/server/heapsync-server" \
  --fake-heap "build/${preset}/tests/fake_heap/fake-heap" --folder build/soak "${arguments[@]}"
