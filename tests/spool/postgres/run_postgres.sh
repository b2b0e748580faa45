#!/usr/bin/env bash
# Runs a PostgreSQL of its own in the foreground, for tests: SIGINT stops it, SIGQUIT is its crash.
#
#   run_postgres.sh FOLDER PORT [--standby_of=PORT] [OPTION …]
#
# FOLDER holds the data, which is made if it is missing, and the Unix socket. The user "postgres" needs no password; with a
# file FOLDER/pg_hba.conf that decides. Options go to the server, such as "-c fsync=on". Exit code 77: there is no PostgreSQL.
#
# With --standby_of it is the synchronous standby of the server at that port of 127.0.0.1, by docker/cluster/follow.sh.
set -euo pipefail

follow="$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../../../docker/cluster/follow.sh"
folder="$1" port="$2"
shift 2
primary=""
if [[ "${1:-}" == --standby_of=* ]]; then
  primary="${1#*=}"
  shift
fi

bin="${HEAPSYNC_POSTGRES_BIN:-}"
if [[ -z "${bin}" ]]; then
  # Debian keeps the programs of each version in a folder of their own, out of the path.
  bin="$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1 || true)"
fi
if [[ ! -x "${bin}/postgres" ]]; then
  echo "run_postgres: no PostgreSQL; scripts/install_dependencies.sh --test installs it" >&2
  exit 77
fi

# PostgreSQL refuses to run as root.
as_user=()
if ((EUID == 0)); then
  as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups --)
  chown nobody:nogroup "${folder}"
fi

cd "${folder}"
if [[ ! -d data && -z "${primary}" ]]; then
  "${as_user[@]}" "${bin}/initdb" --pgdata=data --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >initdb.log 2>&1 || {
    cat initdb.log >&2
    exit 1
  }
fi
hba=()
if [[ -f pg_hba.conf ]]; then hba=(-c "hba_file=${folder}/pg_hba.conf"); fi
options=(-k "${folder}" -h 127.0.0.1 -p "${port}" -c fsync=off -c shared_buffers=64MB -c max_wal_size=256MB "${hba[@]}" "$@")
if [[ -n "${primary}" ]]; then
  # Its user may not read the source tree.
  cp "${follow}" follow.sh
  export PATH="${bin}:${PATH}" PGDATA="${folder}/data" PGHOST=127.0.0.1 PGPORT="${primary}" PGUSER=postgres
  exec "${as_user[@]}" bash "${folder}/follow.sh" "${options[@]}"
fi
exec "${as_user[@]}" "${bin}/postgres" -D data "${options[@]}"
