#!/usr/bin/env bash
# From a bare Debian 12 machine to a warehouse's exports arriving at Heap: installs what is missing, builds, starts a
# simulated Heap and the server on this machine, imports tests/samples, and compares what arrived with what should have.
#
#   scripts/demo.sh [--cluster]
#
# With --cluster three servers share a spool in a PostgreSQL that is started here, too, and one of them is killed in the middle of the
# import.
#
# Started from a terminal it then keeps running until Ctrl-C, to try things out; otherwise it ends after its summary.
# Exit code 0: all valid rows arrived, all bad ones were refused for the right reasons.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly APP_ID=1234567890
readonly SAMPLES=tests/samples
readonly DEMO=build/demo
readonly BIN=build/release

servers=1
case "${1:-}" in
  "") ;;
  --cluster) servers=3 ;;
  *) sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' scripts/demo.sh && exit 2 ;;
esac

say() { printf '\n\033[1m== %s\033[0m\n' "$1"; }
fail() { printf 'demo: %s\n' "$1" >&2 && exit 1; }

# Stops the processes started here, the servers first so that they can finish sending.
server_pids=() heap_pid="" postgres_pid="" postgres_folder=""
stop_all() {
  trap - EXIT
  local pid
  for pid in "${server_pids[@]}" ${heap_pid}; do
    kill -TERM "${pid}" 2>/dev/null || true
    wait "${pid}" 2>/dev/null || true
  done
  if [[ -n "${postgres_pid}" ]]; then
    kill -QUIT "${postgres_pid}" 2>/dev/null || true
    wait "${postgres_pid}" 2>/dev/null || true
    rm -rf "${postgres_folder}"
  fi
}
trap stop_all EXIT
trap 'exit 130' INT TERM

is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The port itself, or the next free one.
free_port() {
  local port
  for ((port = $1; port < $1 + 200; ++port)); do
    if is_free "${port}"; then
      echo "${port}"
      return
    fi
  done
  fail "no free port from $1 on"
}

# Queries the simulator without curl, which a bare machine does not have.
ask_heap() {
  exec 3<>"/dev/tcp/127.0.0.1/${heap_us_port}"
  printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$1" >&3
  sed '1,/^\r$/d' <&3
  exec 3<&-
}

# arrived SUMMARY events|users|accounts: distinct keys or identities that the simulator has.
arrived() {
  local pattern='"'$2'":{"identities":\([0-9]*\)'
  if [[ "$2" == events ]]; then
    pattern='"events":{"appended":\([0-9]*\)'
  fi
  local number
  number="$(sed -n "s/.*${pattern}.*/\1/p" <<<"$1")"
  echo "${number:-0}"
}

# expected FILE NAME: a number of expected.json.
expected() { sed -n "/\"$1\": {/,/^  }/s/.*\"$2\": \([0-9]*\).*/\1/p" "${SAMPLES}/expected.json"; }

# Waits until the command succeeds; NAME describes the condition.
wait_for() {
  local name="$1" deadline=$((SECONDS + 60))
  shift
  until "$@" 2>/dev/null; do
    ((SECONDS < deadline)) || fail "waited 60 s for ${name}"
    sleep 0.1
  done
}

say "Packages"
scripts/install_dependencies.sh --build
if ((servers > 1)); then
  scripts/install_dependencies.sh --database
fi

say "Build (some minutes the first time)"
cmake --preset release --log-level=WARNING
cmake --build --preset release --target heapsync-server heapsync fake-heap
heapsync="$(find "${BIN}/client" -type f -name heapsync -perm -u+x)"

if ((servers > 1)); then
  say "A simulated Heap, a PostgreSQL, and ${servers} servers that share it"
else
  say "A simulated Heap, and the server in front of it"
fi
rm -rf "${DEMO}"
mkdir -p "${DEMO}"
heap_us_port="$(free_port 8081)"
heap_eu_port="$(free_port "$((heap_us_port + 1))")"
"$(find "${BIN}/tests" -type f -name fake-heap -perm -u+x)" --listen_us="127.0.0.1:${heap_us_port}" \
  --listen_eu="127.0.0.1:${heap_eu_port}" --port_file="${DEMO}/heap.ports" >"${DEMO}/fake-heap.log" 2>&1 &
heap_pid=$!
wait_for "fake-heap (${DEMO}/fake-heap.log)" test -s "${DEMO}/heap.ports"
spool=(--data_dir="${DEMO}/data")
if ((servers > 1)); then
  # Sockets have short paths.
  postgres_folder="$(mktemp -d /tmp/heapsync-demo.XXXXXX)"
  postgres_port="$(free_port 5433)"
  tests/spool/postgres/run_postgres.sh "${postgres_folder}" "${postgres_port}" -c fsync=on >"${DEMO}/postgres.log" 2>&1 &
  postgres_pid=$!
  wait_for "PostgreSQL (${DEMO}/postgres.log)" pg_isready --quiet --host=127.0.0.1 --port="${postgres_port}"
  spool=(--spool="postgresql://postgres@127.0.0.1:${postgres_port}/postgres" --spool_lease=5s)
fi
grpc_port=50050 http_port=9463 addresses=()
if ((servers > 1)); then
  # Further up, outgoing connections use ports.
  grpc_port=15050
fi
for ((number = 1; number <= servers; ++number)); do
  grpc_port="$(free_port "$((grpc_port + 1))")"
  http_port="$(free_port "$((http_port + 1))")"
  HEAPSYNC_APP_ID="${APP_ID}" "$(find "${BIN}/server" -type f -name heapsync-server -perm -u+x)" \
    --listen="127.0.0.1:${grpc_port}" --http_listen="127.0.0.1:${http_port}" "${spool[@]}" \
    --heap_us_url="http://127.0.0.1:${heap_us_port}" --heap_eu_url="http://127.0.0.1:${heap_eu_port}" \
    >"${DEMO}/server-${number}.log" 2>&1 &
  server_pids+=($!)
  addresses+=("127.0.0.1:${grpc_port}")
  wait_for "the server (${DEMO}/server-${number}.log)" "${heapsync}" health --server="${addresses[-1]}" --timeout=1s >/dev/null
done
# The last one lives to the end.
server="${addresses[-1]}"
if ((servers > 1)); then
  any_server="ipv4:$(IFS=,; echo "${addresses[*]}")"
else
  any_server="${server}"
fi
echo "Heap Sync serves gRPC at ${addresses[*]}; the simulated Heap is at http://127.0.0.1:${heap_us_port}."

# import_sample FILE FLAG…: exit code 3 means imported, with some rows refused, which is what the samples are for.
import_sample() {
  local file="$1" code=0
  shift
  say "Importing ${file}"
  "${heapsync}" import "$@" --server="${any_server}" --rejects="${DEMO}/${file}.rejected" --state="${DEMO}/${file}.state" \
    "${SAMPLES}/${file}" || code=$?
  ((code == 0 || code == 3)) || fail "the import of ${file} ended with ${code}"
}
# Kills the first server, which is the one that delivers, once Heap has some of the events.
kill_in_the_middle() {
  local has_some='"appended":[1-9]'
  until [[ "$(ask_heap /_fake/summary)" =~ ${has_some} ]]; do sleep 0.01; done
  kill -KILL "${server_pids[0]}"
  printf '\033[1m== Killed the server at %s\033[0m\n' "${addresses[0]}"
}
if ((servers > 1)); then
  disown "${server_pids[0]}" # The shell has nothing to say about its end.
  kill_in_the_middle &
fi
import_sample events.csv --type=track \
  --map=identity=user_email,event=event_name,timestamp=created_at,idempotency_key=event_id
import_sample users.csv --type=user
import_sample accounts.ndjson --type=account

say "Waiting for everything to arrive at Heap"
events_expected="$(expected events.csv distinct)"
users_expected="$(expected users.csv distinct)"
accounts_expected="$(expected accounts.ndjson distinct)"
events=0 users=0 accounts=0 shown="" deadline=$((SECONDS + 180))
while ((SECONDS < deadline)); do
  summary="$(ask_heap /_fake/summary)"
  events="$(arrived "${summary}" events)"
  users="$(arrived "${summary}" users)"
  accounts="$(arrived "${summary}" accounts)"
  line="${events} of ${events_expected} events, ${users} of ${users_expected} users, ${accounts} of ${accounts_expected} accounts"
  if [[ "${line}" != "${shown}" ]]; then
    echo "${line}"
    shown="${line}"
  fi
  ((events < events_expected || users < users_expected || accounts < accounts_expected)) || break
  sleep 0.2
done

say "What arrived"
failed=0
printf '%-16s %8s %8s %9s   %s\n' file rows valid rejected "at Heap (distinct keys or identities)"
report() {
  local file="$1" arrived="$2" verdict=complete rejected
  rejected="$(wc -l <"${DEMO}/${file}.rejected")"
  if ((arrived != $(expected "${file}" distinct))); then
    verdict="INCOMPLETE" failed=1
  fi
  if ((rejected != $(expected "${file}" invalid))); then
    verdict="WRONG ROWS REJECTED" failed=1
  fi
  printf '%-16s %8d %8d %9d   %d of %d: %s\n' "${file}" "$(expected "${file}" rows)" "$(expected "${file}" valid)" \
    "${rejected}" "${arrived}" "$(expected "${file}" distinct)" "${verdict}"
}
report events.csv "${events}"
report users.csv "${users}"
report accounts.ndjson "${accounts}"
echo "Requests beyond Heap's published limits: $(sed -n 's/.*"total":{[^}]*"violations":\([0-9]*\).*/\1/p' <<<"${summary}")"

say "What was rejected, and why"
for file in events.csv users.csv accounts.ndjson; do
  echo "${file}: all of them in ${DEMO}/${file}.rejected"
  while read -r count reason; do
    wanted="$(expected "${file}" "${reason}")" remark=""
    if [[ "${count}" != "${wanted}" ]]; then
      remark="  (EXPECTED ${wanted:-NONE})" failed=1
    fi
    printf '  %4d  %s%s\n' "${count}" "${reason}" "${remark}"
  done < <(grep -o '"reason":"[A-Z0-9_]*"' "${DEMO}/${file}.rejected" | sed 's/.*:"\(.*\)"/\1/' | sort | uniq -c)
done

if ((failed)); then
  fail "not everything went as expected; logs: ${DEMO}/server-*.log, ${DEMO}/fake-heap.log"
fi

grpcurl=grpcurl
if [[ -x build/tools/bin/grpcurl ]]; then
  grpcurl=build/tools/bin/grpcurl
fi
say "Try it"
cat <<TRY
  ${grpcurl} -plaintext ${server} list
  ${grpcurl} -plaintext ${server} describe heapsync.v1.TrackEventRequest
  ${grpcurl} -plaintext -d '{"event":{"identity":"user@example.com","event":"Purchase Completed","properties":{"amount":49.99}}}' \\
    ${server} heapsync.v1.HeapSyncService/TrackEvent
  ${grpcurl} -plaintext -d '{"user":{"identity":"user@example.com","email":"user@example.com","properties":{"plan":"Pro"}}}' \\
    ${server} heapsync.v1.HeapSyncService/UserProperties
  ${grpcurl} -plaintext -d '{"account":{"account_id":"acme-corp","properties":{"industry":"Technology"}}}' \\
    ${server} heapsync.v1.HeapSyncService/AccountProperties
  ${grpcurl} -plaintext -d '{"validate_only":true,"event":{"identity":"null","properties":{"a":{"b":1}}}}' \\
    ${server} heapsync.v1.HeapSyncService/TrackEvent
  echo '{"request_id":"job-1","events":[{"identity":"a@example.com","event":"One"},{"identity":"b@example.com","event":"Two"}]}
    {"events":[{"event":"Nobody"},{"identity":"c@example.com","event":"Three"}]}' | ${grpcurl} -plaintext -d @ \\
    ${server} heapsync.v1.HeapSyncService/BulkTrackEvents
  ${grpcurl} -plaintext ${server} heapsync.v1.HeapSyncAdminService/ListDestinations
  ${heapsync} track --server=${server} --identity=user@example.com --event="Purchase Completed"
What the simulated Heap has: http://127.0.0.1:${heap_us_port}/_fake/users?app_id=${APP_ID}&identity=user@example.com
TRY
if ! command -v "${grpcurl}" >/dev/null; then
  echo "(grpcurl is not here yet: scripts/install_dependencies.sh --tools && scripts/install_test_tools.sh)"
fi

if [[ -t 0 && -t 1 ]]; then
  say "Up until Ctrl-C"
  trap 'exit 0' INT
  wait "${server_pids[-1]}"
fi
