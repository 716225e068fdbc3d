#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Shows pgstrata from nothing, on a fresh Debian 12 machine, in one command: builds it, makes a throwaway
# PostgreSQL 15, backs it up, drops a table "by accident" and brings the cluster back to the moment before.
# Everything happens in one temporary directory, which is removed at the end. Needs root or sudo.
# PGSTRATA=... shows another program with the same command line instead.
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }

# As root, install and build, then go on as user postgres: the server refuses to run as root. Any other user
# may be the owner of the throwaway cluster.
if [ -z "${PGSTRATA_DEMO_DIR:-}" ]; then
    say "Installing what this needs (nothing, if it is there)"
    "$source_dir/scripts/setup.sh" demo

    if [ -z "${PGSTRATA:-}" ]; then
        say "Building pgstrata"
        launcher=()
        command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
        (cd "$source_dir" && cmake --preset release "${launcher[@]}" >/dev/null &&
            cmake --build --preset release --target pgstrata)
    fi

    PGSTRATA_DEMO_DIR=$(mktemp -d /tmp/pgstrata-demo-XXXXXX)
    export PGSTRATA_DEMO_DIR
    trap 'rm -rf "$PGSTRATA_DEMO_DIR"' EXIT
    # Copies, because user postgres may not be able to read the source tree.
    install -m 755 "${PGSTRATA:-$source_dir/build/release/pgstrata}" "$0" "$PGSTRATA_DEMO_DIR"
    if [ "$(id -u)" = 0 ]; then
        chown -R postgres: "$PGSTRATA_DEMO_DIR"
        cd "$PGSTRATA_DEMO_DIR"
        runuser -u postgres -- env HOME="$PGSTRATA_DEMO_DIR" bash "$PGSTRATA_DEMO_DIR/$(basename "$0")"
    else
        bash "$PGSTRATA_DEMO_DIR/$(basename "$0")"
    fi
    exit
fi

dir=$PGSTRATA_DEMO_DIR
export -n PGSTRATA_DEMO_DIR # to pgstrata its name looks like that of an option
data=$dir/data
bin=/usr/lib/postgresql/15/bin
pgstrata=$dir/$(basename "${PGSTRATA:-pgstrata}")
export PGHOST=$dir PGPORT=54315 PGUSER=postgres PGDATABASE=postgres

stop_server() { [ ! -e "$data/postmaster.pid" ] || "$bin/pg_ctl" -D "$data" -m immediate -w stop >/dev/null || true; }
trap stop_server EXIT

run() { printf '    $ %s\n' "$*"; "$@" | sed 's/^/      /'; }
query() { "$bin/psql" -XAtq -v ON_ERROR_STOP=1 -c "$1"; }
backup_tool() { run "$pgstrata" --config="$dir/pgstrata.conf" --stanza=demo --log-level-console=info "$@"; }

say "1. A throwaway PostgreSQL 15 in $data"
"$bin/initdb" -D "$data" -U postgres -A trust -k --no-sync >/dev/null
cat >>"$data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
port = $PGPORT
archive_mode = on
archive_command = '$pgstrata --config=$dir/pgstrata.conf --stanza=demo archive-push %p'
CONF
sed -n '/^archive_/p' "$data/postgresql.conf" | sed 's/^/    /'

say "2. The configuration of pgstrata: where the cluster is and where backups go"
mkdir "$dir/repository" "$dir/log" "$dir/lock" "$dir/spool"
cat >"$dir/pgstrata.conf" <<CONF
[global]
repo1-path=$dir/repository
repo1-retention-full=9999999
log-path=$dir/log
lock-path=$dir/lock
spool-path=$dir/spool
start-fast=y

[demo]
pg1-path=$data
pg1-port=$PGPORT
pg1-socket-path=$dir
CONF
sed 's/^/    /' "$dir/pgstrata.conf"

say "3. stanza-create makes the repository ready for this cluster; check proves that WAL arrives"
"$bin/pg_ctl" -D "$data" -l "$dir/server.log" -w start >/dev/null
backup_tool stanza-create
backup_tool check

say "4. Data: pgbench tables with 100000 accounts"
"$bin/pgbench" -i -q -s 1 2>/dev/null
before=$(query "SELECT count(*) || ' accounts, sum of balances ' || sum(abalance) FROM pgbench_accounts")
echo "    $before"

say "5. A full backup while transactions run"
"$bin/pgbench" -n -T 4 -c 2 >/dev/null 2>&1 &
backup_tool backup --type=full
wait $!
run "$pgstrata" --config="$dir/pgstrata.conf" --stanza=demo info

say "6. More work after the backup, then the disaster: somebody drops the table"
"$bin/pgbench" -n -t 500 >/dev/null 2>&1
before=$(query "SELECT count(*) || ' accounts, sum of balances ' || sum(abalance) FROM pgbench_accounts")
echo "    before: $before"
sleep 1.1
target=$(query "SELECT to_char(clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS.USTZH:TZM')")
echo "    the time is $target"
sleep 1.1
query "DROP TABLE pgbench_accounts"
query "CREATE TABLE work_after_the_disaster AS SELECT 1 AS id"
query "SELECT pg_switch_wal()" >/dev/null
echo "    after:  $(query "SELECT count(*) FROM pgbench_accounts" 2>&1 || true)"

say "7. Restore to the moment before: stop the server, restore, start it"
"$bin/pg_ctl" -D "$data" -m fast -w stop >/dev/null
backup_tool restore --force --type=time "--target=$target" --target-action=promote
"$bin/pg_ctl" -D "$data" -l "$dir/server.log" -w start >/dev/null
for _ in $(seq 300); do
    [ "$(query "SELECT pg_is_in_recovery()" 2>/dev/null)" != f ] || break
    sleep 0.1
done

say "8. The table is back"
after=$(query "SELECT count(*) || ' accounts, sum of balances ' || sum(abalance) FROM pgbench_accounts") || after=
echo "    before: $before"
echo "    now:    $after"
if [ "$before" != "$after" ]; then
    echo "demo: the restored rows differ from those before the disaster" >&2
    tail -n 30 "$dir/server.log" >&2
    exit 1
fi
printf '\nThe cluster was restored to the point in time %s: every row that the table had then is back.\n' "$target"
