// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"
#include "unit/repository/manifest_sample.hpp"
#include "unit/repository/wal_segments.hpp"

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/storage/posix.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>

// Repositories with as many objects as years of backups leave.
using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

constexpr auto kStanzaName = "main";
constexpr UnixSeconds kFirstTime = 1795226400;

std::string wal_name(std::uint64_t number)
{
    return postgres::to_string({1, number}, kSegmentSize);
}

// The backup of hour `i`, of which every 24th is full; each has WAL of its own.
BackupSummary hourly_backup(unsigned i)
{
    const auto full_of = [](unsigned hour) {
        return make_backup_label(BackupType::full, {}, kFirstTime + 3600 * (hour / 24 * 24));
    };
    BackupSummary summary;
    summary.type = i % 24 == 0 ? BackupType::full : BackupType::incr;
    summary.start_time = kFirstTime + 3600 * i;
    summary.stop_time = summary.start_time + 300;
    summary.label = make_backup_label(summary.type, full_of(i), summary.start_time);
    if (summary.type != BackupType::full) {
        summary.prior = full_of(i);
        summary.references = {summary.prior};
    }
    summary.program_version = "1.0.0";
    summary.archive_id = kArchiveId;
    summary.system_identifier = 7;
    summary.timeline = 1;
    const std::uint64_t number = 2 + std::uint64_t{200} * i;
    summary.start_lsn.value = number * kSegmentSize + 0x28;
    summary.stop_lsn.value = number * kSegmentSize + 0x1000;
    summary.start_wal = wal_name(number);
    summary.stop_wal = summary.start_wal;
    summary.size = 1U << 30U;
    summary.host = "db1";
    summary.change_tracking = "scan";
    return summary;
}

// The last segment of an archive, as far as info reads it.
void write_noted_segment(const Repository& repository, const std::string& name)
{
    const WalObjectName object{name, std::string(40, '0'), true};
    const std::string path =
        wal_directory(kStanzaName, kArchiveId, name) + "/" + repository::to_string(object);
    Buffer bytes;
    BufferSink sink(bytes);
    codec::ObjectWriter writer(sink, {codec::ObjectKind::wal, path}, repository.cipher());
    Buffer note;
    writer.append(
        note_wal_times({kFirstTime * 1000000, (kFirstTime + 3600 * 500) * 1000000}, note));
    writer.finish();
    storage::write_file(repository.storage(), path, bytes);
}

// Of a backup of nothing: enough to be restored.
void write_empty_manifest(const Repository& repository, const BackupSummary& summary)
{
    Manifest manifest;
    manifest.header = sample_header();
    manifest.header.label = summary.label;
    manifest.header.type = summary.type;
    manifest.header.prior = summary.prior;
    write_manifest(repository, kStanzaName, manifest);
}

} // namespace

TEST_CASE("of many backups the catalog has each in its place", "[repository][catalog][bug-47]")
{
    const MemoryRepository memory;
    std::vector<std::string> complete;
    std::vector<std::string> damaged;
    std::vector<std::string> begun;
    for (unsigned i = 0; i < 100; ++i) {
        const BackupSummary summary = hourly_backup(i);
        if (i % 7 == 3) {
            storage::write_file(
                *memory.storage, manifest_path(kStanzaName, summary.label), as_bytes("x"));
            begun.push_back(summary.label);
            continue;
        }
        write_summary(*memory, kStanzaName, summary);
        if (i % 7 == 5) {
            memory.flip(summary_path(kStanzaName, summary.label), 20);
        }
        (i % 7 == 5 ? damaged : complete).push_back(summary.label);
    }
    std::vector<std::string> told;

    const BackupCatalog catalog =
        read_backups(*memory, kStanzaName, [&](const std::string& label, const Error&) {
            told.push_back(label);
        });

    std::vector<std::string> found;
    for (const BackupSummary& summary : catalog.backups) {
        found.push_back(summary.label);
    }
    CHECK(found == complete);
    CHECK(told == damaged);
    CHECK(catalog.incomplete == begun);
    CHECK_THROWS_AS(list_backups(*memory, kStanzaName), Error);
}

// The 500 backups that scripts/benchmark.sh measures info and expire with, and the last of 100,000
// segments of WAL, in the directory that PGSTRATA_MEASURED names.
TEST_CASE("a repository to measure with is made", "[.measure]")
{
    const char* const root = std::getenv("PGSTRATA_MEASURED");
    REQUIRE(root != nullptr);
    const auto storage = storage::make_posix_storage({.root = root});
    const auto repository = Repository::open_or_create(*storage, {});
    write_cluster(*repository, kStanzaName, {kArchiveId, 7, 1300, 202209061, 8192, kSegmentSize});
    for (unsigned i = 0; i < 500; ++i) {
        const BackupSummary summary = hourly_backup(i);
        write_empty_manifest(*repository, summary);
        write_summary(*repository, kStanzaName, summary);
    }
    write_noted_segment(*repository, wal_name(100000));
}
