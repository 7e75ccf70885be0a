#!/usr/bin/env bash
# Makes the servers' role and database; the image of PostgreSQL runs it once, when its volume is empty.
set -euo pipefail

psql --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  --set password="$(cat "${DATABASE_PASSWORD_FILE:-/run/secrets/database-password}")" <<'SQL'
CREATE ROLE carfluence LOGIN PASSWORD :'password' NOSUPERUSER NOBYPASSRLS;
CREATE DATABASE carfluence OWNER carfluence ENCODING 'UTF8' TEMPLATE template0;
SQL
