#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Builds everything and runs every check and test, from nothing on a Debian 12 machine.
#   scripts/test.sh [STAGE...]   all stages, or those whose names begin so, e.g. scripts/test.sh build unit
# Output of each stage is kept in build/test-logs. Ends non-zero when anything failed; the last line has the
# number of test cases, a failed stage that runs no test cases counting as one.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
wanted=("$@")

# PostgreSQL does not run as root, so tests run as user postgres, who must be able to read the program.
as_tester=()
if [ "$(id -u)" = 0 ]; then
    scripts/setup.sh test || exit 1
    if ! runuser -u postgres -- test -r scripts/test.sh; then
        copy=/var/tmp/pgstrata-source
        echo "user postgres cannot read $PWD: testing a copy in $copy"
        mkdir -p "$copy" && find "$copy" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} + &&
            tar --exclude=./build -cf - . | tar -xf - -C "$copy" && chmod -R a+rX "$copy" || exit 1
        exec "$copy/scripts/test.sh" "$@"
    fi
    as_tester=(runuser -u postgres --)
fi

logs=$PWD/build/test-logs
rm -rf "$logs"
mkdir -p "$logs"
passed=0 failed=0

finish() {
    grep -h 'SKIPPED' "$logs"/*.log 2>/dev/null | sort -u
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" = 0 ] && { [ "$passed" -gt 0 ] || [ ${#wanted[@]} -gt 0 ]; }
    exit
}

is_wanted() { # STAGE
    local prefix
    [ ${#wanted[@]} -gt 0 ] || return 0
    for prefix in "${wanted[@]}"; do
        [[ $1 != "$prefix"* ]] || return 0
    done
    return 1
}

# Adds up the summaries of the test cases in a log; fails when a case that was to be run has none, or failed.
count_cases() { # LOG
    local good bad wanted
    read -r good bad wanted < <(awk '
        /^== .*: [0-9]+ test cases$/ { wanted += $(NF - 2) }
        /^All tests passed \(/ { good += $(NF - 2) }
        /^test cases: +[0-9]+ \|/ {
            for (i = 1; i < NF; i++) {
                if ($(i + 1) == "passed") good += $i
                if ($(i + 1) == "failed" && $(i + 2) != "as") bad += $i
            }
        }
        END { print good + 0, bad + 0, wanted + 0 }' "$1")
    if [ $((good + bad)) -lt "$wanted" ]; then
        echo "$((wanted - good - bad)) test case(s) ended without a summary" >>"$1"
        bad=$((wanted - good))
    fi
    passed=$((passed + good)) failed=$((failed + bad))
    [ "$bad" = 0 ] && [ "$wanted" -gt 0 ]
}

report() { # RESULT STAGE STARTED
    printf '%-6s %4d s  %s\n' "$1" "$(($(date +%s) - $3))" "$2"
}

# A stage that runs no test cases.
stage() { # NAME COMMAND...
    local name=$1 started
    shift
    is_wanted "$name" || return 0
    started=$(date +%s)
    if "$@" >"$logs/$name.log" 2>&1; then
        report ok "$name" "$started"
    else
        failed=$((failed + 1))
        report FAILED "$name" "$started"
        tail -n 60 "$logs/$name.log"
        return 1
    fi
}

# A stage of test programs; COMMAND's exit status matters less than the summaries in its log.
test_stage() { # NAME COMMAND...
    local name=$1 started status=0
    shift
    is_wanted "$name" || return 0
    started=$(date +%s)
    "$@" >"$logs/$name.log" 2>&1 || status=$?
    count_cases "$logs/$name.log" || status=1
    if [ "$status" = 0 ]; then
        report ok "$name" "$started"
    else
        report FAILED "$name" "$started"
        grep -vE '^(Filters: .*|All tests passed .*|=+|)$' "$logs/$name.log" | tail -n 200
        [ "$failed" -gt 0 ] || failed=1
        return 1
    fi
}

# What was compiled in another checkout is not compiled again.
build() { # PRESET
    local launcher=()
    command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    local -x CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
    cmake --preset "$1" "${launcher[@]}" && cmake --build --preset "$1"
}

# Both stages of unit tests have the same programs, those with sanitizers under the name with "-sanitized".
unit_modules() {
    local module
    for module in test/unit/*/; do
        basename "$module"
    done
}

# Runs the test cases of a program in several processes side by side, which take them in turn; the output of each in
# one piece.
run_cases() { # PROCESSES TEST-SPECIFICATION COMMAND...
    local processes=$1 specification=$2 program=${!#} queue i process started=() status=0
    shift 2
    queue=$(mktemp -d) && chmod 777 "$queue" || return 1
    "$@" --list-test-names-only "$specification" | sed '/^$/d' >"$queue/cases"
    echo "== ${program##*/} $specification: $(wc -l <"$queue/cases") test cases"
    for ((i = 0; i < processes; i++)); do
        timeout -k 10 $((1500 + 2 * ${SOAK_SECONDS:-30})) "$@" --queue "$queue" >"$queue/output-$i" 2>&1 &
        started+=($!)
    done
    for process in "${started[@]}"; do
        wait "$process" || status=1
    done
    cat "$queue"/output-*
    rm -rf "$queue"
    return "$status"
}

run_modules() { # SUFFIX MODULE...
    local module suffix=$1 status=0
    shift
    for module in "$@"; do
        run_cases 2 '~[.]' "${as_tester[@]}" "build/test/test/unit-$module$suffix" || status=1
    done
    return "$status"
}

# The engine's test cases take as long as those of all other modules.
run_unit() { # [SUFFIX]
    local status=0 beside=$logs/unit-engine.part engine
    run_modules "${1:-}" engine >"$beside" 2>&1 &
    engine=$!
    # shellcheck disable=SC2046 # one word a module
    run_modules "${1:-}" $(unit_modules | grep -vx engine) || status=1
    wait "$engine" || status=1
    cat "$beside" && rm "$beside"
    return "$status"
}

# Half a minute of what goes wrong at night; SOAK_SECONDS=300 makes it five. It waits for servers that are away, so
# it runs beside the next stage: what end_soak waits for is begun by begin_soak.
begin_soak() {
    is_wanted soak || return 0
    run_cases 1 '[soak]' build/test/test/integration >"$logs/soak.part" 2>&1 &
    soak=$!
}

end_soak() {
    local status=0
    wait "$soak" || status=1
    cat "$logs/soak.part" && rm "$logs/soak.part"
    return "$status"
}

# More processes than processors, since servers are waited for; each has its own clusters. As root a program
# mounts a small file system of its own and then changes its user. The session of the program is tested by itself.
# Clusters and repositories lie in memory where it has room: most of what a disk costs here is making and removing
# small files. Unit tests, the soak and the sanitized main path use the disk.
run_integration() (
    status=0 memory=
    trap '[ -z "$memory" ] || rm -rf "$memory"' EXIT
    trap 'exit 130' INT TERM
    room=$(df --output=avail --block-size=1G /dev/shm 2>/dev/null | tail -n 1)
    if [ -z "${TMPDIR:-}" ] && [ "${room:-0}" -ge 8 ]; then
        memory=$(mktemp -d /dev/shm/pgstrata-test-XXXXXX) && chmod 1777 "$memory" && export TMPDIR=$memory
    fi
    run_cases 3 '~[.]' build/test/test/integration || status=1
    run_cases 1 '~[.]' build/test/test/integration-session || status=1
    exit "$status"
)

# Every parser of outside bytes meets the corpus and its mutations under sanitizers.
run_fuzzers() {
    ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        ctest --test-dir build/test -R '^fuzz-.*-sanitized$' -j 2 --no-tests=error --output-on-failure
}

run_main_path_sanitized() {
    local -x PGSTRATA_BINARY=$PWD/build/test/pgstrata-sanitized PGSTRATA_TEST_MAJORS=15
    local -x ASAN_OPTIONS=detect_leaks=1:halt_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    run_cases 2 '[main-path]' build/test/test/integration
}

lint_man_pages() {
    local page warnings
    for page in man/*.[1-8]; do
        [ -e "$page" ] || continue
        warnings=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null |
            grep -v 'will not fit on one page') || true # a terminal has no pages
        [ -z "$warnings" ] || { printf '%s\n' "$warnings"; return 1; }
    done
}

stage setup scripts/setup.sh test || finish
stage build build test || finish
stage layers scripts/check-layers
stage format scripts/check-format
stage man lint_man_pages
stage tidy scripts/check-tidy
stage fuzz run_fuzzers
test_stage unit run_unit
test_stage unit-sanitized run_unit -sanitized
test_stage integration run_integration
begin_soak
test_stage main-path-sanitized run_main_path_sanitized
test_stage soak end_soak
finish
