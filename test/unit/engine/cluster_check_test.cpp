// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/storage/decorators.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::repository;
using namespace pgstrata::test;

TEST_CASE("damage of an older generation of the cluster stops nobody who works on the newest",
          "[engine][cluster]")
{
    const MemoryRepository memory;
    for (const ArchiveId id : {ArchiveId{14, 1}, ArchiveId{15, 2}}) {
        Cluster cluster;
        cluster.id = id;
        cluster.wal_segment_size = 16U << 20U;
        write_cluster(*memory, kStanza, cluster);
    }
    const auto damage = [&](ArchiveId id) {
        for (const std::string& path : cluster_paths(kStanza, id)) {
            memory.flip(path, 30);
        }
    };
    damage({14, 1});

    CHECK(current_cluster(*memory, kStanza).id == ArchiveId{15, 2});

    // Without it nobody knows what belongs into its archive.
    damage({15, 2});
    CHECK_THROWS_MATCHES(current_cluster(*memory, kStanza), Error, HasCode(ErrorCode::checksum));
}
