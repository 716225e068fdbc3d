// SPDX-License-Identifier: PostgreSQL
#include "support/ceph.hpp"

#include "support/ports.hpp"

namespace pgstrata::test {

namespace {

constexpr unsigned kCephPorts = 13;

struct CephServer {
    Ceph description;
    TemporaryDirectory directory;
    std::unique_ptr<BackgroundProcess> process =
        start_server("Ceph",
                     {PGSTRATA_START_CEPH, directory.path(), std::to_string(description.port)},
                     directory);
};

} // namespace

Ceph::Ceph() : S3Server{"test", "tester", "testing-secret", "us-east-1", free_ports(kCephPorts)} {}

const Ceph* Ceph::get()
{
    static const bool kIsInstalled =
        is_server_installed("command -v radosgw && command -v ceph-mon && command -v ceph-osd",
                            "tests with the S3 gateway of Ceph: scripts/setup.sh ceph installs it");
    if (!kIsInstalled) {
        return nullptr;
    }
    static const CephServer kServer;
    return &kServer.description;
}

} // namespace pgstrata::test
