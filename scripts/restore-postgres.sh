#!/usr/bin/env bash
# Puts a copy that backup-postgres.sh has made into empty databases:
#
#   scripts/restore-postgres.sh FOLDER DATABASE-URL [STOCK-DATABASE-URL]
#
# The role of the URLs is the one that the servers use, and owns the databases; make them anew as a superuser:
#
#   CREATE DATABASE carfluence OWNER carfluence ENCODING 'UTF8' TEMPLATE template0;
#
# Of each database all is put back or nothing. No server may run on the databases meanwhile. Keep the password in ~/.pgpass.
set -euo pipefail

(($# == 2 || $# == 3)) || { echo "usage: $0 FOLDER DATABASE-URL [STOCK-DATABASE-URL]" >&2; exit 2; }
folder=$1 database=$2 stock=${3:-}

# check NAME URL SCHEMA... ends it before anything is written.
check() {
  local file=$folder/$1.dump url=$2 schema found
  shift 2
  [[ -e $file ]] || { echo "There is no $file; name one database if the copy is of one, and two if it is of two." >&2; exit 1; }
  for schema; do
    found=$(psql -wXAt -d "$url" -c "SELECT 1 FROM pg_namespace WHERE nspname = '$schema'")
    if [[ -n $found ]]; then
      echo "The database has the schema $schema already; name an empty database." >&2
      exit 1
    fi
  done
}

# restore NAME URL makes the role of the URL the owner of everything.
restore() {
  pg_restore --no-password --no-owner --no-privileges --exit-on-error --single-transaction --dbname "$2" "$folder/$1.dump"
  psql -wXq -d "$2" -c 'SET client_min_messages = error' -c 'ANALYZE' # it warns of the system's tables
}

if [[ -z $stock ]]; then
  check carfluence "$database" accounts stock
  restore carfluence "$database"
else
  check accounts "$database" accounts
  check stock "$stock" stock
  restore accounts "$database"
  restore stock "$stock"
fi
echo "Restored. Start the servers with the secret that belongs to the copy."
