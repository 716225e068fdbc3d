#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# OpenStack Swift with its S3 API on 127.0.0.1, until it is killed: plain http on PORT and TLS on PORT + 1.
#   start-swift.sh DIRECTORY PORT CERTIFICATE KEY
# Needs python3-swift and memcached, and a DIRECTORY on a filesystem with extended attributes. The bucket is
# "test", the access key "test:tester", the secret key "testing-secret", the region "us-east-1";
# "test:reader" with the same secret may list and read only. When it can be
# used, DIRECTORY/ready is there. Uses the ports PORT to PORT + 5.
set -euo pipefail
base=$1 port=$2 certificate=$3 key=$4
python=/usr/bin/python3 # the distribution's, which has the swift package

mkdir -p "$base"/{etc,srv/d0,log}
printf '[swift-hash]\nswift_hash_path_suffix = pgstrata\n' >"$base/etc/swift.conf"
common="bind_ip = 127.0.0.1
user = $(id -un)
swift_dir = $base/etc
devices = $base/srv
mount_check = false
fallocate_reserve = 0
workers = 0
conn_timeout = 10
log_address = $base/no-syslog
log_level = WARNING"

write_proxy() { # NAME PORT [LINE...]
    local name=$1 bind=$2
    shift 2
    cat >"$base/etc/$name.conf" <<E
[DEFAULT]
$common
bind_port = $bind
$(printf '%s\n' "$@")
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 10
node_timeout = 60
# A proxy that is up before its servers would take them for broken, and ask them nothing for a minute.
error_suppression_limit = 1000000
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
max_upload_part_num = 10000
storage_domain = localhost
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing-secret .admin
user_test_reader = testing-secret
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$((port + 5))
$(for filter in catch_errors gatekeeper healthcheck listing_formats bulk copy; do
        printf '[filter:%s]\nuse = egg:swift#%s\n' $filter $filter
    done)
E
}
write_proxy proxy "$port"
write_proxy proxy-tls $((port + 1)) "cert_file = $certificate" "key_file = $key"

number=1
for server in account container object; do
    number=$((number + 1))
    cat >"$base/etc/$server.conf" <<E
[DEFAULT]
$common
bind_port = $((port + number))
container_update_timeout = 30
[pipeline:main]
pipeline = $server-server
[app:$server-server]
use = egg:swift#$server
E
done

# Swift's own WSGI runner, with its configuration out of /etc; and the bucket, made by Swift's native API.
cat >"$base/serve.py" <<'E'
import os, sys, time, urllib.request
from swift.common import utils
os.setsid = lambda: None # whoever kills the group of this script means the servers, too
base, what, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
utils.set_swift_dir(base + "/etc")
if what == "rings":
    from swift.common.ring import RingBuilder
    for number, ring in enumerate(("account", "container", "object"), 2):
        builder = RingBuilder(2, 1, 0)
        builder.add_dev(dict(region=1, zone=1, ip="127.0.0.1", port=port + number, device="d0", weight=1))
        builder.rebalance(seed=1)
        builder.get_ring().save(f"{base}/etc/{ring}.ring.gz")
elif what == "bucket":
    def ask(method, path, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)
    for attempt in range(900):
        try:
            token = ask("GET", "/auth/v1.0", X_Auth_User="test:tester", X_Auth_Key="testing-secret")
            ask("PUT", "/v1/AUTH_test/test", X_Auth_Token=token.headers["X-Auth-Token"],
                X_Container_Read="test:reader")
            sys.exit(0)
        except OSError:
            time.sleep(0.1)
    sys.exit("swift did not come up")
else:
    from swift.common.wsgi import run_wsgi
    kind = what.split("-")[0]
    sys.exit(run_wsgi(f"{base}/etc/{what}.conf", kind + "-server", verbose=True))
E

$python "$base/serve.py" "$base" rings "$port"
memcached -u "$(id -un)" -l 127.0.0.1 -p $((port + 5)) -U 0 -m 16 >"$base/log/memcached.log" 2>&1 &
for server in account container object proxy proxy-tls; do
    $python "$base/serve.py" "$base" "$server" "$port" </dev/null >"$base/log/$server.log" 2>&1 &
done
$python "$base/serve.py" "$base" bucket "$port"
: >"$base/ready"
wait
