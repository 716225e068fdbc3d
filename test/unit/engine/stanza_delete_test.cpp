// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "support/matchers.hpp"
#include "unit/engine/restore_fixture.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/engine/stanza_delete.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/storage/decorators.hpp"

#include <nlohmann/json.hpp>

#include <set>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using namespace pgstrata::repository;

namespace {

// Two generations with WAL, a full and an incr, and a stanza beside them.
class FilledStanza {
public:
    FilledStanza()
    {
        for (const std::string_view stanza : {std::string_view(kStanza), kNeighbour}) {
            for (const ArchiveId id : {ArchiveId{14, 1}, ArchiveId{15, 2}}) {
                write_cluster(*memory, stanza, make_generation(id));
                put(archive_path(stanza, id) + "/0000000100000000/000000010000000000000001-wal");
                put(archive_path(stanza, id) + "/00000002.history-x");
            }
            for (const char* label : {kLabel, kIncrLabel}) {
                put(pack_path(stanza, label, 0));
                put(manifest_path(stanza, label));
                BackupSummary summary;
                summary.label = label;
                summary.archive_id = {15, 2};
                write_summary(*memory, stanza, summary);
            }
        }
    }

    std::set<std::string> objects(std::string_view stanza) const
    {
        std::set<std::string> names;
        for (const std::string& top : {archive_path(stanza), backup_path(stanza)}) {
            storage::list_recursively(
                *memory.storage, top, [&](const auto& entry) { names.insert(entry.name); });
        }
        return names;
    }

    static Cluster make_generation(ArchiveId id)
    {
        Cluster cluster;
        cluster.id = id;
        cluster.wal_segment_size = 16U << 20U;
        return cluster;
    }
    void put(const std::string& path) const
    {
        storage::write_file(*memory.storage, path, as_bytes("x"));
    }

    static constexpr std::string_view kNeighbour = "neighbour";
    MemoryRepository memory;
};

// Of a deletion that was cut off; its process is dead, in truth this one.
void remove_leases(const FilledStanza& stanza)
{
    for (const std::string& path : stanza.objects(kStanza)) {
        if (parse_lease_name(path.substr(path.rfind('/') + 1))) {
            stanza.memory.storage->remove(path);
        }
    }
}

// Of another host.
void write_foreign_lease(const FilledStanza& stanza, const std::string& label, UnixSeconds renewed)
{
    stanza.memory.repository->write_document(lease_path(kStanza, label),
                                             {{"host", "elsewhere.example"},
                                              {"boot-id", "x"},
                                              {"pid", 1U},
                                              {"pid-started", 1U},
                                              {"renewed", static_cast<std::uint64_t>(renewed)}},
                                             storage::WriteMode::replace);
}

// As a backup asks that has its lease.
bool is_begin_refused(const FilledStanza& stanza)
{
    try {
        check_not_being_deleted(*stanza.memory, kStanza);
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::lock_acquire);
        return true;
    }
    return !stanza.memory.storage->info(cluster_path(kStanza, {15, 2}));
}

// What is removed at last.
std::size_t count_contents(const std::set<std::string>& objects)
{
    return static_cast<std::size_t>(
        std::count_if(objects.begin(), objects.end(), [](const auto& name) {
            return !name.ends_with("/backup.json") && !name.ends_with("/cluster.json");
        }));
}

std::size_t count_named(const std::set<std::string>& objects, const std::string& ending)
{
    return static_cast<std::size_t>(std::count_if(
        objects.begin(), objects.end(), [&](const auto& name) { return name.ends_with(ending); }));
}

} // namespace

TEST_CASE("a stanza is deleted with all that it has and nothing else", "[engine][stanza-delete]")
{
    const FilledStanza stanza;
    const auto neighbour = stanza.objects(FilledStanza::kNeighbour);
    REQUIRE(stanza.objects(kStanza).size() == 12);

    delete_stanza(*stanza.memory, kStanza);

    CHECK(stanza.objects(kStanza).empty());
    CHECK_FALSE(has_stanza(*stanza.memory.storage, kStanza));
    CHECK(stanza.objects(FilledStanza::kNeighbour) == neighbour);
    CHECK_NOTHROW(delete_stanza(*stanza.memory, kStanza));
}

// bug-31: what is half gone must not look as if it could be used.
TEST_CASE("a deletion that fails at any step leaves nothing that looks usable",
          "[engine][stanza-delete][bug-31]")
{
    bool was_completed = false;
    for (std::uint64_t step = 1; !was_completed; ++step) {
        CAPTURE(step);
        const FilledStanza stanza;
        const auto before = stanza.objects(kStanza);
        storage::FaultPlan plan;
        const auto failing = storage::make_failing_storage(*stanza.memory.storage, plan);
        const auto repository = Repository::open(*failing, {});
        plan.count = 0;
        plan.fail_at = step;
        plan.stay_broken = true;
        try {
            delete_stanza(*repository, kStanza);
            was_completed = true;
        } catch (const Error& error) {
            REQUIRE(error.code() == plan.code);
        }

        remove_leases(stanza);
        const auto left = stanza.objects(kStanza);
        const bool has_lost_a_cluster = count_named(left, "/cluster.json") < 2;
        const bool has_lost_contents = count_contents(left) < count_contents(before);
        if (has_lost_a_cluster) {
            CHECK(count_named(left, "/backup.json") == 0);
        }
        if (has_lost_contents) {
            CHECK(count_named(left, "/backup.json") == 0);
            CHECK(count_named(left, "/cluster.json") == 0);
        }
        if (left.contains(summary_path(kStanza, kIncrLabel))) {
            CHECK(left.contains(summary_path(kStanza, kLabel)));
        }

        delete_stanza(*stanza.memory, kStanza);
        CHECK(stanza.objects(kStanza).empty());
    }
}

TEST_CASE("a stanza with a backup in progress is not deleted", "[engine][stanza-delete]")
{
    const FilledStanza stanza;
    write_foreign_lease(stanza, "20261123-020000F", now_seconds());
    const auto before = stanza.objects(kStanza);

    CHECK_THROWS_MATCHES(
        delete_stanza(*stanza.memory, kStanza), Error, HasCode(ErrorCode::lock_acquire));

    CHECK(stanza.objects(kStanza) == before);
}

TEST_CASE("a backup that begins while the stanza is deleted either stops it or is refused",
          "[engine][stanza-delete][bug-28]")
{
    // At which of the operations the other host writes its lease.
    unsigned stopped = 0;
    unsigned refused = 0;
    bool was_completed = false;
    for (unsigned step = 1; !was_completed; ++step) {
        CAPTURE(step);
        const FilledStanza stanza;
        const std::string label = "20261123-020000F";
        const auto before = stanza.objects(kStanza);
        unsigned count = 0;
        bool is_refused = false;
        HookedStorage storage(*stanza.memory.storage, [&](StorageCall, std::string_view) {
            if (++count != step) {
                return;
            }
            write_foreign_lease(stanza, label, now_seconds());
            is_refused = is_begin_refused(stanza);
            if (is_refused) {
                stanza.memory.storage->remove(lease_path(kStanza, label));
            }
        });
        const auto repository = Repository::open(storage, {});
        count = 0;
        bool is_stopped = false;
        try {
            delete_stanza(*repository, kStanza);
        } catch (const Error& error) {
            REQUIRE(error.code() == ErrorCode::lock_acquire);
            is_stopped = true;
        }
        was_completed = count < step;
        if (is_stopped) {
            stanza.memory.storage->remove(lease_path(kStanza, label));
            CHECK(stanza.objects(kStanza) == before);
        }
        CHECK((was_completed || is_stopped || is_refused));
        stopped += is_stopped ? 1 : 0;
        refused += is_refused ? 1 : 0;
    }
    CHECK(stopped >= 4);
    CHECK(refused >= 10);
}

TEST_CASE("of two hosts that delete a stanza one does it", "[engine][stanza-delete]")
{
    const FilledStanza stanza;
    write_foreign_lease(stanza, std::string(kDeletionLabel), now_seconds());
    CHECK_THROWS_MATCHES(
        delete_stanza(*stanza.memory, kStanza), Error, HasCode(ErrorCode::lock_acquire));
    CHECK(stanza.objects(kStanza).size() == 13);
    write_foreign_lease(stanza, std::string(kDeletionLabel), now_seconds() - kLeaseLifeSeconds);
    delete_stanza(*stanza.memory, kStanza);
    CHECK(stanza.objects(kStanza).empty());
}

TEST_CASE("a deletion that was stopped for long leaves what was created meanwhile",
          "[engine][stanza-delete][bug-28]")
{
    const FilledStanza stanza;
    const ArchiveId id{15, 2};
    const std::string wal = archive_path(kStanza, id) + "/0000000100000000";
    const std::string moment = GENERATE_COPY(backup_path(kStanza),
                                             archive_path(kStanza),
                                             pack_path(kStanza, kLabel),
                                             backup_path(kStanza, kLabel),
                                             archive_path(kStanza, id),
                                             wal);
    CAPTURE(moment);
    std::set<std::string> created;
    HookedStorage storage(*stanza.memory.storage, [&](StorageCall call, std::string_view path) {
        const bool is_claimed =
            stanza.memory.storage->info(lease_path(kStanza, kDeletionLabel)).has_value();
        if (call != StorageCall::list || path != moment || !is_claimed || !created.empty()) {
            return;
        }
        // Its lease ran out; another host went on, and then began anew.
        remove_leases(stanza);
        delete_stanza(*stanza.memory, kStanza);
        write_cluster(*stanza.memory, kStanza, FilledStanza::make_generation(id));
        stanza.put(wal + "/000000010000000000000001-wal");
        stanza.put(pack_path(kStanza, kLabel, 0));
        BackupSummary summary;
        summary.label = kLabel;
        summary.archive_id = id;
        write_summary(*stanza.memory, kStanza, summary);
        created = stanza.objects(kStanza);
    });
    const auto repository = Repository::open(storage, {});

    CHECK_THROWS_MATCHES(
        delete_stanza(*repository, kStanza), Error, HasCode(ErrorCode::path_remove));

    REQUIRE(created.size() == 4);
    CHECK(stanza.objects(kStanza) == created);
}
