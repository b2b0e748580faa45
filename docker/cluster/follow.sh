#!/usr/bin/env bash
# A synchronous standby: copies the primary PGHOST, unless PGDATA has a copy already, makes the primary wait for it at each commit, and
# follows until it is promoted (pg_ctl promote, or SELECT pg_promote()). PGHOST, PGPORT, PGUSER and PGPASSWORD are those of the primary, the
# arguments those of `postgres`.
set -euo pipefail

if [[ ! -f "${PGDATA}/PG_VERSION" ]]; then
  until pg_isready --quiet; do sleep 0.5; done
  pg_basebackup --pgdata="${PGDATA}" --write-recovery-conf --checkpoint=fast --dbname="application_name=standby"
  chmod 0700 "${PGDATA}"
fi
if pg_isready --quiet; then
  psql --no-psqlrc --quiet --dbname=postgres --command="ALTER SYSTEM SET synchronous_standby_names = 'standby'" \
    --command="SELECT pg_reload_conf()" >/dev/null
fi
# Where this server listens is not where the primary does.
unset PGHOST PGPORT
exec postgres "$@"
