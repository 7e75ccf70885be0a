#!/usr/bin/env bash
# Copies Carfluence's tables from PostgreSQL into a new folder, while servers run:
#
#   scripts/backup-postgres.sh FOLDER DATABASE-URL [STOCK-DATABASE-URL]
#
# The role of the URLs must read all rows, whatever row-level security says; once, as a superuser:
#
#   CREATE ROLE carfluence_backup LOGIN PASSWORD '…' BYPASSRLS IN ROLE pg_read_all_data;
#
# Keep its password out of the URLs, in ~/.pgpass. CARFLUENCE_SECRET is not in the copy: keep it elsewhere.
set -euo pipefail

(($# == 2 || $# == 3)) || { echo "usage: $0 FOLDER DATABASE-URL [STOCK-DATABASE-URL]" >&2; exit 2; }
folder=$1 database=$2 stock=${3:-}

umask 077
mkdir -p "$folder"
[[ -z $(ls -A "$folder") ]] || { echo "$folder is not empty; name a new folder" >&2; exit 1; }

# dump NAME URL SCHEMA... writes beside the target first: a file under its final name is whole.
dump() {
  local file=$folder/$1.dump url=$2 schemas=()
  shift 2
  for schema; do schemas+=(--schema "$schema"); done
  pg_dump --format custom --no-password --lock-wait-timeout 60s --strict-names "${schemas[@]}" --file "$file.part" --dbname "$url"
  pg_restore --list "$file.part" >/dev/null
  sync "$file.part"
  mv "$file.part" "$file"
}

if [[ -z $stock ]]; then
  dump carfluence "$database" accounts stock # one snapshot
else
  dump stock "$stock" stock # first: what it names is then in the accounts, with every revocation so far
  dump accounts "$database" accounts
fi
sync "$folder"
echo "Backed up to $folder. The secret is not in it: keep CARFLUENCE_SECRET in another safe place."
