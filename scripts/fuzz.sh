#!/usr/bin/env bash
# Runs every fuzz target for a while, starting from the inputs in tests/fuzz/corpus. Exit code 1: a promise was broken.
#
#   scripts/fuzz.sh [--seconds N] [--keep] [TARGET]…
#
#   --seconds N   for each target (default 60)
#   --keep        adds the smallest inputs that reached new code to tests/fuzz/corpus
#
# Inputs that broke something are left in build/fuzz/found: add them to the target's corpus, where the ordinary tests replay them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=60 keep=0
targets=()
while (($# > 0)); do
  case "$1" in
    --seconds) seconds="$2" && shift ;;
    --keep) keep=1 ;;
    -*) sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0" && exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
if ((${#targets[@]} == 0)); then
  for folder in tests/fuzz/corpus/*/; do targets+=("$(basename "${folder}")"); done
fi

if [[ -z "${HEAPSYNC_FUZZ_BUILT:-}" ]]; then
  scripts/install_dependencies.sh --build --test --lint
  cmake --preset fuzz --log-level=WARNING
  cmake --build --preset fuzz --target "${targets[@]/#/fuzz_}"
fi
mkdir -p build/fuzz/found
failed=()
printf '%-18s %12s %10s %8s %8s\n' target inputs "a second" covered verdict
for target in "${targets[@]}"; do
  program="build/fuzz/tests/fuzz/fuzz_${target}" grown="build/fuzz/corpus/${target}" log="build/fuzz/${target}.log"
  mkdir -p "${grown}"
  verdict=well
  "${program}" -max_total_time="${seconds}" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
    -artifact_prefix="build/fuzz/found/${target}-" "${grown}" "tests/fuzz/corpus/${target}" >"${log}" 2>&1 || verdict=BROKEN
  printf '%-18s %12s %10s %8s %8s\n' "${target}" "$(sed -n 's/^stat::number_of_executed_units: //p' "${log}")" \
    "$(sed -n 's/^stat::average_exec_per_sec: *//p' "${log}")" "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "${log}" | tail -1)" "${verdict}"
  if [[ "${verdict}" == BROKEN ]]; then
    failed+=("${target}")
    grep -E '^broken:|ERROR: |SUMMARY: ' "${log}" || tail -5 "${log}"
  elif ((keep)); then
    "${program}" -merge=1 -max_len=512 "tests/fuzz/corpus/${target}" "${grown}" >>"${log}" 2>&1
  fi
done
((${#failed[@]} == 0)) || { echo "broken: ${failed[*]}; inputs in build/fuzz/found" && exit 1; }
