#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Measures pgstrata beside another program with the same command line, in turn, on one live cluster, and
# `tar | zstd` as the floor. Prints a markdown table of medians.
#   SIZE=3000     megabytes of data, roughly: pgbench tables and a jsonb table with an index
#   RUNS=3        runs of each backup and restore
#   PUSHES=15     WAL segments for archive-push and archive-get
#   TABLES=20000  small tables of the last part
#   ONLY=...      parts to run, of: full chain small push verify many summary s3 (all)
#                 s3: a bucket of an OpenStack Swift on this machine, by TLS
#   WORKERS=2     process-max of both, threads of zstd
#   PEER=...      the other program (pgbackrest of the distribution)
#   PGSTRATA=...  our program (build/release/pgstrata, built first)
#   DIR=...       where to work (a new directory in /var/tmp); needs about four times SIZE
# Both compress with zstd level 3 and are given WORKERS processes; the peer bundles small files, and stores
# blocks when its version can.
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
size=${SIZE:-3000} runs=${RUNS:-3} pushes=${PUSHES:-15} workers=${WORKERS:-2} tables=${TABLES:-20000}
swift_port=${SWIFT_PORT:-18080}
only=${ONLY:-full chain small push verify many summary s3}
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
    install -m 755 "$0" "$source_dir/scripts/measure.py" "$source_dir/test/support/start-swift.sh" "$dir/bin"
    if [[ " $only " = *" many "* ]] && [ -z "${PGSTRATA:-}" ]; then
        (cd "$source_dir" && cmake --preset test >/dev/null && cmake --build --preset test --target unit-repository)
    fi
    if [ -x "$source_dir/build/test/test/unit-repository" ]; then
        install -m 755 "$source_dir/build/test/test/unit-repository" "$dir/bin"
    fi
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
swift=
stop_swift() {
    # All that it started is in a session of its own.
    [ -z "$swift" ] || kill -- "-$swift" 2>/dev/null || true
}
stop_server() { [ ! -e "$data/postmaster.pid" ] || "$pg/pg_ctl" -D "$data" -m immediate -w stop >/dev/null || true; }
trap 'stop_server; stop_swift' EXIT
: >"$dir/archiving"

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
    if [[ $2 = s3* ]]; then
        # What comes last counts: no path of this machine, and a bucket.
        sed -i '/^repo1-path=/d' "$file"
        cat >>"$file" <<CONF
repo1-type=s3
repo1-path=/$1-$2
repo1-s3-bucket=test
repo1-s3-endpoint=localhost
repo1-s3-region=us-east-1
repo1-s3-key=test:tester
repo1-s3-key-secret=testing-secret
repo1-s3-uri-style=path
repo1-storage-port=$((swift_port + 1))
repo1-storage-ca-file=$dir/swift.crt
CONF
        [ "$2" != s3-async ] || echo "archive-async=y" >>"$file"
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
    # WAL goes to the repository whose backup is measured, since that waits for it. Both programs look for
    # their name in archive_command.
    cat >"$dir/bin/archive" <<ARCHIVE
#!/bin/bash
read -r who variant program <"$dir/archiving" || exit 0
[ "\$who" != nobody ] || exit 1
exec "\$program" "--config=$dir/\$who-\$variant.conf" --stanza=main archive-push "\$1"
ARCHIVE
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

is_wanted() { # PART
    [[ " $only " = *" $1 "* ]]
}

measured_backup() { # WHAT WHO VARIANT TYPE
    local command label
    echo "$2 $3 $(tool "$2")" >"$dir/archiving"
    mapfile -t command < <(call "$2" "$3" backup "--type=$4" --no-expire-auto)
    measured "$1" "$2" "${command[@]}"
    # shellcheck disable=SC2012 # labels are plain names
    label=$(ls -t "$dir/$2-$3/repository/backup/main" | grep -E '^[0-9]{8}-[0-9]{6}F' | head -n 1)
    "${measure[@]}" note "$results" "$1" "$2" \
        "$(du -s --apparent-size -B1 "$dir/$2-$3/repository/backup/main/$label" | cut -f1)"
}

measured_restore() { # WHAT WHO VARIANT ARGUMENT...: into $dir/restored
    local what=$1 who=$2 variant=$3 command
    shift 3
    mkdir -p -m 700 "$dir/restored"
    mapfile -t command < <(call "$who" "$variant" restore "--pg1-path=$dir/restored" "$@")
    measured "$what" "$who" "${command[@]}"
}

one_backup() { # WHO VARIANT
    measured_backup "full backup, $2" "$1" "$2" full
    measured_restore "restore, $2" "$1" "$2"
    rm -rf "$dir/restored"
}

# Both in turn, the first in every other run the second.
in_turn() { # RUN COMMAND ARGUMENT...: WHO is the command's second word
    local run=$1 command=$2 who order=(pgstrata peer)
    shift 2
    ((run % 2)) || order=(peer pgstrata)
    for who in "${order[@]}"; do
        "$command" "$who" "$@"
    done
}

backup_of() { # WHO WHAT VARIANT TYPE
    measured_backup "$2" "$1" "$3" "$4"
}

# One page in a hundred of the largest table gets a changed row, at random places.
change_one_percent() {
    sql "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid IN (
             SELECT 1 + floor(random() * 61 * pages)::int FROM (
                 SELECT pg_relation_size('pgbench_accounts') / 8192 AS pages) AS size,
             LATERAL generate_series(1, size.pages / 100))"
    sql "CHECKPOINT"
}

# Writes garbage over one page in a hundred of the largest files.
damage_one_percent() {
    "${measure[@]}" damage "$dir/restored/base" 100
}

restore_of() { # WHO WHAT...: a chain, the same again over it, and over damage
    measured_restore "restore of full + 3 incr" "$1" chain
    measured_restore "restore --delta, identical" "$1" chain --delta
    damage_one_percent
    measured_restore "restore --delta, 1 % damaged" "$1" chain --delta
    rm -rf "$dir/restored"
}

one_chain() { # RUN
    in_turn "$1" backup_of "full before the incr" chain full
    in_turn "$1" backup_of "incr, nothing changed" chain incr
    change_one_percent
    in_turn "$1" backup_of "incr, 1 % of pages changed" chain incr
    change_one_percent
    in_turn "$1" backup_of "incr, 1 % of pages changed" chain incr
    in_turn "$1" restore_of
}

make_small_tables() {
    say "making $tables small tables"
    sql "DO \$\$ BEGIN FOR i IN 1..$tables LOOP
             EXECUTE format('CREATE TABLE small_%s (a int, b text)', i);
             EXECUTE format('INSERT INTO small_%s SELECT g, md5(g::text) FROM generate_series(1, 20) AS g', i);
             IF i % 500 = 0 THEN COMMIT; END IF;
         END LOOP; END \$\$"
    sql "CHECKPOINT"
}

one_small() { # RUN
    in_turn "$1" backup_of "full, $tables small tables" small full
    sql "DO \$\$ BEGIN FOR i IN 1..$tables BY 100 LOOP
             EXECUTE format('UPDATE small_%s SET a = a + 1', i); END LOOP; END \$\$"
    sql "CHECKPOINT"
    in_turn "$1" backup_of "incr, $tables small tables" small incr
}

# A full backup and some WAL. The peer has one depth, which decompresses and hashes: both of ours stand beside it.
verify_of() { # WHO DEPTH
    local command depth=()
    [ "$1" = peer ] || depth=("--depth=$2")
    mapfile -t command < <(call "$1" verify verify --output=text "${depth[@]}")
    measured "verify, $2" "$1" "${command[@]}"
}

verify_part() {
    local who command run segments
    for who in pgstrata peer; do
        configure "$who" verify
        echo "$who verify $(tool "$who")" >"$dir/archiving"
        mapfile -t command < <(call "$who" verify stanza-create)
        "${command[@]}"
        make_segments # the server archives them
        mapfile -t command < <(call "$who" verify backup --type=full --no-expire-auto)
        "${command[@]}"
    done
    : >"$dir/archiving"
    for run in $(seq "$runs"); do
        in_turn "$run" verify_of quick
        in_turn "$run" verify_of full
    done
}

# What info and expire do with 500 backups and years of WAL.
many_part() {
    local command repository=$dir/pgstrata-many/repository
    [ -x "$dir/bin/unit-repository" ] || { say "SKIPPED: no build/test/test/unit-repository"; return 0; }
    configure pgstrata many
    say "making 500 backups and WAL"
    PGSTRATA_MEASURED=$repository "$dir/bin/unit-repository" "[.measure]" >/dev/null
    "${measure[@]}" segments "$repository/archive/main/15-1" 20000
    mapfile -t command < <(call pgstrata many info)
    for _ in $(seq 15); do
        measured "info, 500 backups, 20,000 segments" pgstrata "${command[@]}"
    done
    "${measure[@]}" segments "$repository/archive/main/15-1" 100000
    mapfile -t command < <(call pgstrata many expire)
    measured "expire, 500 backups, 100,000 segments" pgstrata "${command[@]}"
}

# PostgreSQL 17 has WAL summaries, and the peer of the distribution does not know it: ours beside ours.
summary_part() {
    local pg17=/opt/pg17/bin label command
    [ -x "$pg17/initdb" ] || { say "SKIPPED: no PostgreSQL 17 for WAL summaries"; return 0; }
    stop_server
    data=$dir/data17
    "$pg17/initdb" -D "$data" -U postgres -A trust -k --no-sync >/dev/null
    cat >>"$data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
port = $PGPORT
shared_buffers = 256MB
max_wal_size = 4GB
fsync = off
summarize_wal = on
archive_mode = on
archive_command = '$dir/bin/pgstrata --config=$dir/pgstrata-summary.conf --stanza=main archive-push %p'
CONF
    configure pgstrata summary
    "$pg17/pg_ctl" -D "$data" -l "$dir/server17.log" -w start >/dev/null
    mapfile -t command < <(call pgstrata summary stanza-create)
    "${command[@]}"
    "$pg/pgbench" -i -q -s "$((size / 15))" 2>/dev/null
    mapfile -t command < <(call pgstrata summary backup --type=full)
    "${command[@]}"
    for _ in $(seq "$runs"); do
        for tracking in summary scan; do
            change_one_percent
            mapfile -t command < <(call pgstrata summary backup --type=incr "--change-tracking=$tracking")
            measured "incr by $tracking, 17" pgstrata "${command[@]}"
            # shellcheck disable=SC2012
            label=$(ls -t "$dir/pgstrata-summary/repository/backup/main" | head -n 1)
            say "incr by $tracking, 17: $("$dir/bin/pgstrata" "--config=$dir/pgstrata-summary.conf" \
                repo-get "backup/main/$label/backup.json" | grep -oE '"(read|size)": ?[0-9]+' | xargs)"
        done
    done
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

make_segments() { # into the array segments
    for _ in $(seq "$pushes"); do
        "$pg/pgbench" -n -t 600 -c 2 >/dev/null 2>&1
        sql "SELECT pg_switch_wal()" >/dev/null
    done
    mapfile -t segments < <(cd "$data/pg_wal" && ls -1t | grep -E '^[0-9A-F]{24}$' | sort |
        awk -v current="$(sql 'SELECT pg_walfile_name(pg_current_wal_lsn())')" '$0 < current' | tail -n "$pushes")
}

start_swift() {
    say "starting Swift"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$dir/swift.key" -out "$dir/swift.crt" 2>/dev/null
    setsid "$dir/bin/start-swift.sh" "$dir/swift" "$swift_port" "$dir/swift.crt" "$dir/swift.key" \
        >"$dir/swift.log" 2>&1 &
    swift=$!
    for _ in $(seq 600); do
        [ ! -e "$dir/swift/ready" ] || return 0
        sleep 0.2
    done
    cat "$dir/swift.log" >&2
    return 1
}

one_s3() { # WHO
    local command
    echo "$1 s3 $(tool "$1")" >"$dir/archiving"
    mapfile -t command < <(call "$1" s3 backup --type=full --no-expire-auto)
    measured "full backup, S3" "$1" "${command[@]}"
    measured_restore "restore, S3" "$1" s3
    rm -rf "$dir/restored"
}

# Everything that waits, one after the other, as the server asks for it.
async_segments() { # WHO SEGMENT...
    local who=$1 status=$data/pg_wal/archive_status name command
    shift
    for name in "$status"/*.ready; do
        [ ! -e "$name" ] || mv "$name" "${name%.ready}.done"
    done
    for name in "$@"; do
        mv "$status/$name.done" "$status/$name.ready"
    done
    mapfile -t command < <(call "$who" s3-async archive-push)
    say "archive-push async, S3: $who"
    # Renames as the server does, without a process of its own for it.
    # shellcheck disable=SC2016 # perl's variables
    "${measure[@]}" each $# "$results" "archive-push async, S3, a segment" "$who" -- perl -e '
        my ($status, $wal, $count, @rest) = @ARGV;
        my @names = splice(@rest, 0, $count);
        for my $name (@names) {
            exit 1 if system(@rest, "$wal/$name") != 0;
            rename("$status/$name.ready", "$status/$name.done") or exit 1;
        }' "$status" "$data/pg_wal" $# "$@" "${command[@]}"
}

# The server archives as it writes, and both take their processor time from it.
async_under_pgbench() { # WHO
    local who=$1 seconds=20 before tps
    sql "CHECKPOINT"
    before=$(sql "SELECT archived_count FROM pg_stat_archiver")
    echo "$who s3-async $(tool "$who")" >"$dir/archiving"
    tps=$("$pg/pgbench" -n -c 2 -T "$seconds" 2>/dev/null | awk '/^tps/ { print int($3) }')
    say "archive-push async, S3, under pgbench: $who: $(sql "
        SELECT format('%s segments a second, %s wait', round((archived_count - $before) / $seconds.0, 1),
            (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'))
        FROM pg_stat_archiver"), $tps transactions a second"
    echo "nobody - -" >"$dir/archiving"
}

s3_part() {
    local who variant command segments segment run
    /usr/bin/python3 -c 'import swift' 2>/dev/null || { say "SKIPPED: no Swift (scripts/setup.sh test)"; return 0; }
    start_swift
    for who in pgstrata peer; do
        for variant in s3 s3-async; do
            configure "$who" "$variant"
            mapfile -t command < <(call "$who" "$variant" stanza-create)
            "${command[@]}"
        done
    done
    for run in $(seq "$runs"); do
        in_turn "$run" one_s3
    done
    # Nobody else archives from here on, and nothing is taken for archived.
    echo "nobody - -" >"$dir/archiving"
    make_segments
    for segment in "${segments[@]}"; do
        for who in pgstrata peer; do
            mapfile -t command < <(call "$who" s3 archive-push "$data/pg_wal/$segment")
            measured "archive-push, S3" "$who" "${command[@]}"
        done
    done
    for run in $(seq "$runs"); do
        # What is in a repository already is not pushed again, so each run has segments of its own.
        [ "$run" = 1 ] || make_segments
        in_turn "$run" async_segments "${segments[@]}"
    done
    for run in $(seq "$runs"); do
        in_turn "$run" async_under_pgbench
    done
    : >"$dir/archiving"
    stop_swift
    swift=
}

archive_segments() {
    local segments segment who command
    make_segments
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
    for variant in plain encrypted chain small push push-encrypted; do
        configure "$who" "${variant}"
        mapfile -t command < <(call "$who" "$variant" stanza-create)
        "${command[@]}"
    done
done

cluster_size=$(sql "SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database")
for run in $(seq "$runs"); do
    say "run $run of $runs"
    sync
    cat "$data"/base/*/* >/dev/null # the same warm cache for all
    if is_wanted full; then
        one_floor
        in_turn "$run" one_backup plain
        in_turn "$run" one_backup encrypted
    fi
    if is_wanted chain; then
        one_chain "$run"
    fi
done
if is_wanted push; then
    : >"$dir/archiving"
    archive_segments
fi
if is_wanted verify; then
    verify_part
fi
if is_wanted s3; then
    s3_part
fi
if is_wanted small; then
    sql "DROP TABLE IF EXISTS document, pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history"
    make_small_tables
    for run in $(seq "$runs"); do
        one_small "$run"
    done
fi
if is_wanted many; then
    many_part
fi
if is_wanted summary; then
    summary_part
fi

printf '\nPostgreSQL 15, %s; %s processors, %s workers; zstd level 3; medians of %s runs and %s segments;\n' \
    "$cluster_size" "$(nproc)" "$workers" "$runs" "$pushes"
printf 'peer: %s; peak memory is that of the largest process.\n\n' "$("$peer" version)"
"${measure[@]}" table "$results"
