#!/usr/bin/env bash
# Installs what the tests run beside PostgreSQL: PgBouncer. Where it is there already, does nothing.
set -euo pipefail

cd "$(dirname "$0")/.."
. extension/packages.sh

PATH="$PATH:/usr/sbin" command -v pgbouncer >/dev/null || install_packages pgbouncer
