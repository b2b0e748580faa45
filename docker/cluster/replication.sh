#!/usr/bin/env bash
# Lets the standby in; run once by the image of PostgreSQL after it has made the database.
set -euo pipefail
echo "host replication ${POSTGRES_USER:-postgres} all scram-sha-256" >>"${PGDATA}/pg_hba.conf"
