#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Measures pgstrata beside another program with the same command line, in turn, on one live cluster, and
# `tar | zstd` as the floor. Prints a markdown table of medians.
#   SIZE=3000     megabytes of data, roughly: pgbench tables and a jsonb table with an index
#   RUNS=3        runs of each backup and restore
#   PUSHES=15     WAL segments for archive-push and archive-get
#   WORKERS=2     process-max of both, threads of zstd
#   PEER=...      the other program (pgbackrest of the distribution)
#   PGSTRATA=...  our program (build/release/pgstrata, built first)
#   DIR=...       where to work (a new directory in /var/tmp); needs about four times SIZE
# Both compress with zstd level 3 and are given WORKERS processes; the peer bundles small files, and stores
# blocks when its version can.
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
size=${SIZE:-3000} runs=${RUNS:-3} pushes=${PUSHES:-15} workers=${WORKERS:-2}
peer=${PEER:-/usr/bin/pgbackrest}

# As root: install, build, and go on as user postgres, since the server refuses root.
if [ -z "${BENCHMARK_STAGE:-}" ]; then
    "$source_dir/scripts/setup.sh" benchmark
    if [ -z "${PGSTRATA:-}" ]; then
        (cd "$source_dir" && cmake --preset release >/dev/null && cmake --build --preset release --target pgstrata)
    fi
    dir=${DIR:-$(mktemp -d /var/tmp/pgstrata-benchmark-XXXXXX)}
    mkdir -p "$dir/bin"
    trap 'rm -rf "$dir"' EXIT
    install -m 755 "${PGSTRATA:-$source_dir/build/release/pgstrata}" "$dir/bin/pgstrata"
    install -m 755 "$0" "$source_dir/scripts/measure.py" "$dir/bin"
    next=(env BENCHMARK_STAGE=run DIR="$dir" HOME="$dir" bash "$dir/bin/$(basename "$0")")
    if [ "$(id -u)" = 0 ]; then
        chown -R postgres: "$dir"
        cd "$dir"
        next=(runuser -u postgres -- "${next[@]}")
    fi
    "${next[@]}"
    exit
fi

dir=$DIR
data=$dir/data results=$dir/results
pg=/usr/lib/postgresql/15/bin
measure=(/usr/bin/python3 "$dir/bin/measure.py")
export PGHOST=$dir PGPORT=54316 PGUSER=postgres PGDATABASE=postgres

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
sql() { "$pg/psql" -XAtq -v ON_ERROR_STOP=1 -c "$1"; }
stop_server() { [ ! -e "$data/postmaster.pid" ] || "$pg/pg_ctl" -D "$data" -m immediate -w stop >/dev/null || true; }
trap stop_server EXIT

tool() { # WHO: the program
    if [ "$1" = peer ]; then echo "$peer"; else echo "$dir/bin/pgstrata"; fi
}

call() { # WHO VARIANT ARGUMENT...: the words of a command line, one a line
    local who=$1 variant=$2
    shift 2
    printf '%s\n' "$(tool "$who")" "--config=$dir/$who-$variant.conf" --stanza=main "$@"
}

configure() { # WHO VARIANT
    local file=$dir/$1-$2.conf
    mkdir -p "$dir/$1-$2"/{repository,log,lock,spool}
    cat >"$file" <<CONF
[global]
repo1-path=$dir/$1-$2/repository
repo1-retention-full=1
log-path=$dir/$1-$2/log
lock-path=$dir/$1-$2/lock
spool-path=$dir/$1-$2/spool
log-level-file=off
compress-type=zst
compress-level=3
process-max=$workers
start-fast=y
repo1-bundle=y
CONF
    if [ "$1" = pgstrata ] || [ "$(printf '%s\n' 2.46 "$peer_version" | sort -V | head -n 1)" = 2.46 ]; then
        echo "repo1-block=y" >>"$file"
    fi
    if [[ $2 = *encrypted ]]; then
        # Each with the strongest cipher that it has; the passphrase is one that needs no stretching.
        cipher=aes-256-gcm
        [ "$1" = pgstrata ] || cipher=aes-256-cbc
        printf 'repo1-cipher-type=%s\nrepo1-cipher-pass=%s\n' "$cipher" "$passphrase" >>"$file"
    fi
    printf '\n[main]\npg1-path=%s\npg1-port=%s\npg1-socket-path=%s\n' "$data" "$PGPORT" "$dir" >>"$file"
}

make_cluster() {
    local scale=$((size * 2 / 3 / 15)) rows=$((size * 1024 / 3 * 1024 / 560))
    "$pg/initdb" -D "$data" -U postgres -A trust -k --no-sync >/dev/null
    cat >>"$data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
port = $PGPORT
shared_buffers = 256MB
max_wal_size = 4GB
wal_keep_size = $(((pushes + 4) * 16))MB
fsync = off
archive_mode = on
archive_command = '$dir/bin/archive %p pgstrata pgbackrest'
CONF
    # The cluster archives to every repository: a backup waits for its WAL in its own. Both programs look
    # for their name in archive_command.
    printf '#!/bin/bash\nset -e\n[ -e "%s" ] || exit 0\n' "$dir/archiving" >"$dir/bin/archive"
    for who in pgstrata peer; do
        for variant in plain encrypted; do
            printf '"%s" ' $(call "$who" "$variant" archive-push) >>"$dir/bin/archive"
            echo '"$1"' >>"$dir/bin/archive"
        done
    done
    chmod +x "$dir/bin/archive"
    "$pg/pg_ctl" -D "$data" -l "$dir/server.log" -w start >/dev/null
    say "loading pgbench tables of scale $scale and $rows documents"
    "$pg/pgbench" -i -q -s "$((scale > 0 ? scale : 1))" 2>/dev/null
    sql "CREATE TABLE document (id bigint, body jsonb)"
    sql "INSERT INTO document SELECT i, jsonb_build_object('id', i, 'name', md5(i::text), 'tags',
             jsonb_build_array(i % 97, i % 89, 'tag' || i % 1000), 'when', now() - i * interval '1 second',
             'text', repeat(md5((i * 7)::text) || ' ', 5)) FROM generate_series(1, $rows) AS i"
    sql "CREATE INDEX ON document USING gin (body jsonb_path_ops)"
    sql "CHECKPOINT"
}

measured() { # WHAT WHO COMMAND...
    local what=$1 who=$2
    shift 2
    say "$what: $who"
    "${measure[@]}" run "$results" "$what" "$who" -- "$@"
}

one_backup() { # WHO VARIANT
    local command label target=$dir/restored
    mapfile -t command < <(call "$1" "$2" backup --type=full --no-expire-auto)
    measured "full backup, $2" "$1" "${command[@]}"
    # shellcheck disable=SC2012 # labels are plain names
    label=$(ls "$dir/$1-$2/repository/backup/main" | grep -E '^[0-9]{8}-[0-9]{6}F$' | tail -n 1)
    "${measure[@]}" note "$results" "full backup, $2" "$1" \
        "$(du -s --apparent-size -B1 "$dir/$1-$2/repository/backup/main/$label" | cut -f1)"
    mkdir -m 700 "$target"
    mapfile -t command < <(call "$1" "$2" restore "--pg1-path=$target")
    measured "restore, $2" "$1" "${command[@]}"
    rm -rf "$target"
}

one_floor() {
    local archive=$dir/floor.tar.zst
    measured "full backup, plain" floor bash -c \
        'set -o pipefail; { tar --exclude=./pg_wal -C "$1" -cf - . 2>/dev/null || [ $? = 1 ]; } | zstd -q -3 -T"$2" -o "$3"' - "$data" "$workers" "$archive"
    "${measure[@]}" note "$results" "full backup, plain" floor "$(stat -c %s "$archive")"
    mkdir "$dir/restored"
    measured "restore, plain" floor bash -c 'set -o pipefail; zstd -qdc "$1" | tar -C "$2" -xf -' - "$archive" "$dir/restored"
    rm -rf "$dir/restored" "$archive"
}

archive_segments() {
    local segments segment who command
    for _ in $(seq "$pushes"); do
        "$pg/pgbench" -n -t 600 -c 2 >/dev/null 2>&1
        sql "SELECT pg_switch_wal()" >/dev/null
    done
    mapfile -t segments < <(cd "$data/pg_wal" && ls -1t | grep -E '^[0-9A-F]{24}$' | sort |
        awk -v current="$(sql 'SELECT pg_walfile_name(pg_current_wal_lsn())')" '$0 < current' | tail -n "$pushes")
    for segment in "${segments[@]}"; do
        for who in pgstrata peer; do
            for variant in push push-encrypted; do
                mapfile -t command < <(call "$who" "$variant" archive-push "$data/pg_wal/$segment")
                measured "archive-push${variant#push}" "$who" "${command[@]}"
            done
        done
    done
    for segment in "${segments[@]}"; do
        for who in pgstrata peer; do
            for variant in push push-encrypted; do
                mapfile -t command < <(call "$who" "$variant" archive-get "$segment" "$dir/got")
                measured "archive-get${variant#push}" "$who" "${command[@]}"
                cmp "$dir/got" "$data/pg_wal/$segment"
                rm -f "$dir/got"
            done
        done
    done
}

peer_version=$("$peer" version | awk '{ print $2 }')
passphrase=$(openssl rand -base64 48)
make_cluster
for who in pgstrata peer; do
    for variant in plain encrypted push push-encrypted; do
        configure "$who" "${variant}"
        mapfile -t command < <(call "$who" "$variant" stanza-create)
        "${command[@]}"
    done
done
touch "$dir/archiving"

cluster_size=$(sql "SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database")
for run in $(seq "$runs"); do
    say "run $run of $runs"
    sync
    cat "$data"/base/*/* >/dev/null # the same warm cache for all
    one_floor
    for variant in plain encrypted; do
        # Each goes first in turn.
        order=(pgstrata peer)
        ((run % 2)) || order=(peer pgstrata)
        for who in "${order[@]}"; do
            one_backup "$who" "$variant"
        done
    done
done
rm "$dir/archiving"
archive_segments

printf '\nPostgreSQL 15, %s; %s processors, %s workers; zstd level 3; medians of %s runs and %s segments;\n' \
    "$cluster_size" "$(nproc)" "$workers" "$runs" "$pushes"
printf 'peer: %s; peak memory is that of the largest process.\n\n' "$("$peer" version)"
"${measure[@]}" table "$results"
