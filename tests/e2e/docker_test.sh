#!/usr/bin/env bash
# Builds the image from docker/Dockerfile and runs it, without a Docker engine: buildah builds, podman runs.
#
# The base image is made by debootstrap, so that nothing but Debian's packages is downloaded. What is slow is kept under
# build/docker for the next run: base, layers, compiler cache.
#
# HEAPSYNC_DEBIAN: the Debian release of the image, instead of that of the Dockerfile.
set -euo pipefail
source_dir="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
cache="${HEAPSYNC_DOCKER_CACHE:-${source_dir}/build/docker}"
readonly APP_ID=1234567890
release="${HEAPSYNC_DEBIAN:-$(sed -n 's/^ARG DEBIAN=//p' "${source_dir}/docker/Dockerfile")}"
base_image="debian:${release}-slim"
source "${source_dir}/tests/e2e/debian_base.sh"

skip() {
  echo "SKIPPED: $1" >&2
  if [[ "${CI:-}" == true ]]; then
    exit 1
  fi
  exit 77
}
for tool in buildah podman runc debootstrap curl jq; do
  command -v "${tool}" >/dev/null || skip "no ${tool}; scripts/install_dependencies.sh --test --container"
done
((EUID == 0)) || skip "building a base image with debootstrap needs root"

mkdir -p "${cache}"
work="$(mktemp -d)"
# Storage of its own: what else is on the machine is neither used nor changed.
storage=(--root "${cache}/storage" --runroot "${cache}/run" --storage-driver vfs)
podman=(podman "${storage[@]}" --runtime runc --cgroup-manager cgroupfs)
# A container gets this machine's loopback, and limits that it may set where it is nested in another container.
# Podman leaves the image's health check to systemd, which need not be here: it is asked by hand.
run=("${podman[@]}" run --detach --no-healthcheck --network=host --ulimit nofile=1024:1024 --ulimit nproc=1000:1000)
suffix="$$"
server="heapsync-test-${suffix}" heap="fake-heap-test-${suffix}" volume="heapsync-test-${suffix}"

clean_up() {
  local code=$?
  trap - EXIT
  if ((code != 0)); then
    for name in "${server}" "${heap}"; do
      "${podman[@]}" container exists "${name}" || continue
      echo "== log of ${name}" >&2
      "${podman[@]}" logs --tail 50 "${name}" >&2 || true
    done
  fi
  "${podman[@]}" rm --force --time 1 "${server}" "${heap}" >/dev/null 2>&1 || true
  "${podman[@]}" volume rm --force "${volume}" >/dev/null 2>&1 || true
  rm -rf "${work}"
  exit "${code}"
}
trap clean_up EXIT

say() { printf '== %s (%d s)\n' "$1" "${SECONDS}"; }
fail() { echo "docker_test: $1" >&2 && exit 1; }

# wait_for SECONDS NAME COMMAND…
wait_for() {
  local deadline=$((SECONDS + $1)) name="$2"
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || fail "waited in vain for ${name}"
    sleep 0.1
  done
}

# Podman's database knows its own paths: in a tree that was moved or copied it is of no use.
if ! "${podman[@]}" info >/dev/null 2>&1; then
  rm -rf "${cache}/storage" "${cache}/run"
fi

say "Base image"
if ! "${podman[@]}" image exists "localhost/${base_image}"; then
  base="${cache}/debian-${release}.tar.gz"
  make_debian_base "${base}" "${release}" || fail "debootstrap failed"
  "${podman[@]}" import --quiet "${base}" "${base_image}"
fi

# The cache mount of the Dockerfile would be outside build/: its folder follows TMPDIR.
export TMPDIR="${cache}/tmp"
mkdir -p "${TMPDIR}"
# With good manners: other tests run beside this one, and some of them measure time.
build=(nice -n 10 buildah "${storage[@]}" build --isolation=chroot --pull-never --layers --format=docker --network=host
  --build-arg "DEBIAN=${release}" --file "${source_dir}/docker/Dockerfile")
say "Building fake-heap"
"${build[@]}" --target fake-heap --tag fake-heap "${source_dir}"
say "Building heapsync"
"${build[@]}" --target server --tag heapsync "${source_dir}"

say "The image as a user finds it"
user="$("${podman[@]}" image inspect heapsync --format '{{.Config.User}}')"
[[ "${user}" == heapsync ]] || fail "the image runs as '${user}'"
"${podman[@]}" image inspect heapsync --format '{{json .Config}}' |
  jq --exit-status '.Volumes["/var/lib/heapsync"] and .ExposedPorts["50051/tcp"] and .ExposedPorts["9464/tcp"]' >/dev/null ||
  fail "volume or ports are missing"
[[ "$("${podman[@]}" image inspect heapsync --format '{{.HealthCheck.Test}}')" == "[CMD heapsync health]" ]] ||
  fail "the health check is missing"
say "Size: $("${podman[@]}" image inspect heapsync --format '{{.Size}}' | numfmt --to=iec), of which the base has \
$("${podman[@]}" image inspect "localhost/${base_image}" --format '{{.Size}}' | numfmt --to=iec)"
for left in /src /usr/bin/g++ /usr/include/grpcpp /tmp/install_dependencies.sh; do
  ! "${podman[@]}" run --rm --network=none --entrypoint ls heapsync "${left}" >/dev/null 2>&1 || fail "the image still has ${left}"
done

say "Starting both"
install -d -m 0777 "${work}/ports"
"${run[@]}" --name "${heap}" --volume "${work}/ports:/ports" fake-heap --listen_us=127.0.0.1:0 --listen_eu=127.0.0.1:0 \
  --port_file=/ports/ports.json
wait_for 60 "the simulator" test -s "${work}/ports/ports.json"
heap_url="$(jq --raw-output .us.url "${work}/ports/ports.json")"
read -r grpc_port http_port < <(/usr/bin/python3 -c \
  "import sys; sys.path.insert(0, '${source_dir}/tests/e2e'); import harness; print(*harness.free_ports(2))")
# As compose.yaml and the manifests for Kubernetes run it: nothing may be written but the volume.
"${run[@]}" --read-only --read-only-tmpfs=false --cap-drop=all --security-opt=no-new-privileges --name "${server}" --volume "${volume}:/var/lib/heapsync" \
  --env HEAPSYNC_APP_ID="${APP_ID}" --env HEAPSYNC_HEAP_US_URL="${heap_url}" \
  --env HEAPSYNC_LISTEN="127.0.0.1:${grpc_port}" --env HEAPSYNC_HTTP_LISTEN="127.0.0.1:${http_port}" heapsync
inside=("${podman[@]}" exec "${server}" heapsync)
here="--server=127.0.0.1:${grpc_port}"
wait_for 60 "the server" "${inside[@]}" health "${here}"
[[ "$("${podman[@]}" exec "${server}" id -u)" != 0 ]] || fail "the server runs as root"

! "${podman[@]}" exec "${server}" touch /tmp/written 2>/dev/null || fail "the root file system can be written to"
curl --silent --fail "http://127.0.0.1:${http_port}/healthz" >/dev/null || fail "the HTTP port does not answer"
metrics="$(curl --silent --fail "http://127.0.0.1:${http_port}/metrics")" || fail "no metrics"
grep --quiet '^heapsync_spool_healthy 1' <<<"${metrics}" || fail "the metrics do not tell of a healthy spool"

say "An event through the shipped command line reaches Heap"
"${inside[@]}" track "${here}" --identity=docker@example.com --event="Image Started" --ack=delivered
events_of() { curl --silent --fail "${heap_url}/_fake/events?app_id=${APP_ID}&identity=$1" | jq .total; }
[[ "$(events_of docker@example.com)" == 1 ]] || fail "Heap has no such event"

say "What is durable survives kill -9 in the volume"
curl --silent --fail --request PUT --data '{"rules":[{"name":"down","action":{"type":"status","status":503}}]}' "${heap_url}/_fake/faults" >/dev/null
"${inside[@]}" track "${here}" --identity=survivor@example.com --event="Still There"
"${podman[@]}" kill --signal KILL "${server}" >/dev/null
wait_for 30 "the server's end" bash -c "! $(printf '%q ' "${podman[@]}") container inspect ${server} --format '{{.State.Running}}' | grep true"
[[ "$(events_of survivor@example.com)" == 0 ]] || fail "the event was not held back"
curl --silent --fail --request DELETE "${heap_url}/_fake/faults" >/dev/null
"${podman[@]}" start "${server}" >/dev/null
wait_for 60 "the server after its restart" "${inside[@]}" health "${here}"
arrived_once() { [[ "$(events_of survivor@example.com)" == 1 ]]; }
wait_for 60 "the event from before the kill" arrived_once

say "SIGTERM stops it cleanly"
"${podman[@]}" stop --time 30 "${server}" >/dev/null
code="$("${podman[@]}" container inspect "${server}" --format '{{.State.ExitCode}}')"
[[ "${code}" == 0 ]] || fail "it ended with ${code}"
say "Done"
