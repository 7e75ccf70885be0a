#!/usr/bin/env bash
# Starts a private PostgreSQL in a temporary folder, runs a command with CARFLUENCE_TEST_POSTGRES naming it, and
# ends it again:
#
#   scripts/postgres.sh go test ./internal/...
#
# The server listens on a socket in that folder alone and syncs nothing: it is for tests. Needs the programs of
# PostgreSQL 15 or later, which it installs on Debian and Ubuntu. With POSTGRES_FOLDER it keeps its databases
# there for the next time; POSTGRES_SHARED_BUFFERS is its memory (64MB).
set -euo pipefail

(($#)) || { echo "usage: $0 COMMAND [ARGUMENT...]" >&2; exit 2; }

# binaries prints the folder of the newest PostgreSQL there is.
binaries() {
  local folder
  folder=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n1)
  [[ -n $folder ]] || folder=$(dirname "$(command -v postgres 2>/dev/null)" 2>/dev/null) || true
  [[ -x $folder/initdb ]] && echo "$folder"
}

if ! bin=$(binaries); then
  sudo=()
  ((EUID == 0)) || sudo=(sudo -n)
  export DEBIAN_FRONTEND=noninteractive
  # The package would make a cluster of its own and start it.
  "${sudo[@]}" mkdir -p /etc/postgresql-common
  [[ -e /etc/postgresql-common/createcluster.conf ]] || echo 'create_main_cluster = false' | "${sudo[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
  "${sudo[@]}" apt-get update -q >&2 || true
  "${sudo[@]}" apt-get install -qy --no-install-recommends postgresql >&2
  bin=$(binaries)
fi

keep=${POSTGRES_FOLDER:-}
folder=${keep:-$(mktemp -d "${TMPDIR:-/tmp}/carfluence-postgres.XXXXXX")}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
as=()
if ((EUID == 0)); then # PostgreSQL refuses root
  chown postgres "$folder"
  chmod 755 "$folder"
  as=(runuser -u postgres --)
fi

end() {
  local how=immediate
  [[ -z $keep ]] || how=fast
  (cd / && "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m $how stop >/dev/null 2>&1) || true
  [[ -n $keep ]] || rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

(
  cd / # which every user may read
  [[ -e $folder/data/PG_VERSION ]] || "${as[@]}" "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
  "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -s start -o "-c listen_addresses= -c unix_socket_directories=$folder \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300 -c max_locks_per_transaction=128 -c shared_buffers=${POSTGRES_SHARED_BUFFERS:-64MB}"
) </dev/null || { cat "$folder/log" >&2 2>/dev/null; exit 1; }

export CARFLUENCE_TEST_POSTGRES="postgres:///postgres?host=$folder&user=postgres"
export CARFLUENCE_TEST_POSTGRES_PROGRAMS=$bin # for tests that start servers of their own
"$@"
