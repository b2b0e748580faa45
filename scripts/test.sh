#!/usr/bin/env bash
# From a bare Debian 12 machine to the summary of the tests: installs missing packages, builds, runs all tests.
#
#   scripts/test.sh [--quick] [--preset NAME]… [-- CTEST ARGUMENT…]
#
#   --quick         the dev preset, without the tests that build the image
#   --preset NAME   these instead of dev and tsan; repeatable
#
# Up to three tests that fail beside others are tried again alone, and are named at the end if they pass: find out why.
#
# The tsan preset covers everything that has threads and does not link gRPC. `--preset asan` runs everything, including the
# programs of the end-to-end tests, under AddressSanitizer and UndefinedBehaviorSanitizer. The image's test builds the same
# targets as release. With CI=true a test that cannot run for lack of a tool is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A machine that stands still for a moment makes one test fail, a fault many.
readonly MAX_SECOND_TRIES=3
quick=0
presets=()
while (($# > 0)); do
  case "$1" in
    --quick) quick=1 ;;
    --preset) presets+=("$2") && shift ;;
    --) shift && break ;;
    *) sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0" && exit 2 ;;
  esac
  shift
done
ctest_arguments=("$@")

started="${SECONDS}"
say() { printf '\n== %s (%d s so far)\n' "$1" "$((SECONDS - started))"; }

packages=(--build --lint --test --tools)
if ((quick)); then
  ((${#presets[@]})) || presets=(dev)
  ctest_arguments+=(--label-exclude docker)
else
  ((${#presets[@]})) || presets=(dev tsan)
  packages+=(--container)
fi

say "Packages"
scripts/install_dependencies.sh "${packages[@]}"
say "Tools"
scripts/install_test_tools.sh

# One folder with the tests of all presets, for a single run and summary.
together="build/tests"
mkdir -p "${together}"
: >"${together}/CTestTestfile.cmake"
for preset in "${presets[@]}"; do
  say "Building ${preset}"
  cmake --preset "${preset}"
  cmake --build --preset "${preset}"
  echo "subdirs(\"${PWD}/build/${preset}\")" >>"${together}/CTestTestfile.cmake"
done

say "Testing ${presets[*]}"
run_tests() { ctest --test-dir "${together}" --output-on-failure --no-label-summary "$@"; }
code=0
run_tests --parallel "$(nproc)" "${ctest_arguments[@]}" || code=$?
failed="${together}/Testing/Temporary/LastTestsFailed.log"
if ((code == 0)) || [[ ! -s "${failed}" ]] || (($(wc -l <"${failed}") > MAX_SECOND_TRIES)); then
  exit "${code}"
fi
second_tries="$(cut -d: -f2- "${failed}" | paste -s -d ' ')"
say "A second try, alone: ${second_tries}"
run_tests --rerun-failed || exit $?
say "PASSED AT THE SECOND TRY ONLY: ${second_tries}"
