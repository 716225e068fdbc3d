#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# A Ceph cluster in memory (one monitor, one OSD, no manager) with its S3 gateway on 127.0.0.1, until it is killed.
#   start-ceph.sh DIRECTORY PORT
# Needs radosgw, ceph-mon and ceph-osd. The bucket is "test", the access key "tester", the secret key
# "testing-secret". When it can be used, DIRECTORY/ready is there. Uses the ports PORT to PORT + 12.
set -euo pipefail
base=$1 port=$2
fsid=2a6a4ad5-1c43-4b7c-9d1b-7d6f0c6b5c11 osd=0f5a4b3e-8f0e-4d22-a1fb-4d6c7b8a9e10
export CEPH_CONF=$base/ceph.conf

mkdir -p "$base"/{mon,osd,rgw}
cat >"$CEPH_CONF" <<E
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$((port + 1))
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
admin socket =
run dir = $base
crash dir = $base
log file = $base/\$name.log
pid file =
ms bind port min = $((port + 2))
ms bind port max = $((port + 12))
ms bind msgr1 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data = $base/mon
mon data avail crit = 1
mon data avail warn = 1
osd data = $base/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd op num shards = 1
osd op num threads per shard = 2
debug ms = 0
[client.rgw]
rgw data = $base/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
rgw thread pool size = 16
rgw run sync thread = false
rgw enable usage log = false
rgw dynamic resharding = false
E
monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$((port + 1))]" "$base/monmap" >"$base/mon.out"
ceph-mon --mkfs -i a --monmap "$base/monmap" >>"$base/mon.out" 2>&1
ceph-mon -f -i a >>"$base/mon.out" 2>&1 &
ceph --connect-timeout 60 osd new "$osd" >"$base/osd.out" 2>&1
ceph-osd --mkfs -i 0 --osd-uuid "$osd" >>"$base/osd.out" 2>&1
ceph-osd -f -i 0 >>"$base/osd.out" 2>&1 &
timeout 60 radosgw-admin user create --uid=tester --display-name=tester --access-key=tester \
    --secret-key=testing-secret >"$base/admin.out" 2>&1
radosgw -f -n client.rgw >"$base/rgw.out" 2>&1 &

# The bucket, with a signature of version 2, which is short.
/usr/bin/python3 - "$port" <<'E'
import base64, email.utils, hmac, sys, time, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for attempt in range(600):
    date = email.utils.formatdate(usegmt=True)
    digest = hmac.digest(b"testing-secret", f"PUT\n\n\n{date}\n/test".encode(), "sha1")
    request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/test", method="PUT", headers={
        "Date": date, "Authorization": "AWS tester:" + base64.b64encode(digest).decode()})
    try:
        opener.open(request, timeout=10)
        sys.exit(0)
    except OSError:
        time.sleep(0.1)
sys.exit("the gateway did not come up")
E
: >"$base/ready"
wait
