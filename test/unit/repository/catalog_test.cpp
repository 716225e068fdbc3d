// SPDX-License-Identifier: PostgreSQL
#include "support/temporary_directory.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/storage/posix.hpp"

#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

BackupSummary sample_summary(const std::string& label = kLabel)
{
    BackupSummary summary;
    summary.label = label;
    summary.references = {"20261120-020000F", "20261120-020000F_20261120-040000D"};
    summary.program_version = "1.2.3";
    summary.archive_id = {15, 2};
    summary.system_identifier = 7312345678901234567;
    summary.is_online = false;
    summary.start_time = 1795226400;
    summary.stop_time = 1795226460;
    summary.timeline = 10;
    summary.start_lsn.value = 0x1A02000028;
    summary.stop_lsn.value = 0x1A03000100;
    summary.start_wal = "0000000A0000001A00000002";
    summary.stop_wal = "0000000A0000001A00000003";
    summary.size = 1;
    summary.delta = 2;
    summary.repository_size = 3;
    summary.repository_delta = 4;
    summary.manifest_size = 5;
    summary.files = 6;
    summary.damaged_files = {"base/1/1259"};
    summary.host = "db1";
    summary.annotations = {{"key", "a value"}, {"other", ""}};
    return summary;
}

Cluster sample_cluster(ArchiveId id)
{
    return {id, 7312345678901234567, 1300, 202209061, 8192, 16U << 20U};
}

// Writes the summary with one member changed, sealed as the repository seals.
void write_changed(const MemoryRepository& memory,
                   const std::string& path,
                   const char* member,
                   const nlohmann::json& value)
{
    nlohmann::json document = memory.repository->read_document(path);
    document[member] = value;
    memory.repository->write_document(path, document, storage::WriteMode::replace);
}

} // namespace

TEST_CASE("a summary comes back as it was", "[repository][catalog]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    const BackupSummary written = sample_summary();
    write_summary(*memory.repository, kStanza, written);

    const auto read = read_summary(*memory.repository, kStanza, kLabel);

    REQUIRE(read);
    CHECK(read->label == written.label);
    CHECK(read->type == written.type);
    CHECK(read->prior == written.prior);
    CHECK(read->references == written.references);
    CHECK(read->program_version == written.program_version);
    CHECK(read->archive_id == written.archive_id);
    CHECK(read->system_identifier == written.system_identifier);
    CHECK(read->is_online == written.is_online);
    CHECK(read->start_time == written.start_time);
    CHECK(read->stop_time == written.stop_time);
    CHECK(read->timeline == written.timeline);
    CHECK(read->start_lsn == written.start_lsn);
    CHECK(read->stop_lsn == written.stop_lsn);
    CHECK(read->start_wal == written.start_wal);
    CHECK(read->stop_wal == written.stop_wal);
    CHECK(read->size == 1);
    CHECK(read->delta == 2);
    CHECK(read->repository_size == 3);
    CHECK(read->repository_delta == 4);
    CHECK(read->manifest_size == 5);
    CHECK(read->files == 6);
    CHECK(read->damaged_files == written.damaged_files);
    CHECK(read->host == written.host);
    CHECK(read->annotations == written.annotations);
}

TEST_CASE("a backup exists when its summary does, and is written once",
          "[repository][catalog][bug-31]")
{
    const MemoryRepository memory;
    storage::write_file(*memory.storage, manifest_path(kStanza, kLabel), as_bytes("x"));
    CHECK_FALSE(read_summary(*memory.repository, kStanza, kLabel));
    CHECK(list_backups(*memory.repository, kStanza).empty());
    CHECK(list_labels(*memory.repository, kStanza) == std::vector<std::string>{kLabel});

    write_summary(*memory.repository, kStanza, sample_summary());

    CHECK(list_backups(*memory.repository, kStanza).size() == 1);
    CHECK_THROWS_MATCHES(write_summary(*memory.repository, kStanza, sample_summary()),
                         Error,
                         HasCode(ErrorCode::file_exists));
}

TEST_CASE("backups are listed by label, whatever else lies there", "[repository][catalog]")
{
    const MemoryRepository memory;
    const std::string diff = std::string(kLabel) + "_20261121-030000D";
    const std::string next = "20261122-020000F";
    BackupSummary summary = sample_summary(diff);
    summary.type = BackupType::diff;
    summary.prior = kLabel;
    write_summary(*memory.repository, kStanza, sample_summary(next));
    write_summary(*memory.repository, kStanza, summary);
    write_summary(*memory.repository, kStanza, sample_summary());
    storage::write_file(*memory.storage, "backup/demo/notes.txt", as_bytes("x"));
    storage::write_file(*memory.storage, "backup/demo/backup/backup.json", as_bytes("x"));

    const auto backups = list_backups(*memory.repository, kStanza);

    REQUIRE(backups.size() == 3);
    CHECK(backups[0].label == kLabel);
    CHECK(backups[1].label == diff);
    CHECK(backups[1].type == BackupType::diff);
    CHECK(backups[1].prior == kLabel);
    CHECK(backups[2].label == next);
    CHECK(list_backups(*memory.repository, "other").empty());
}

TEST_CASE("a damaged summary is an error, not an absent backup",
          "[repository][catalog][bug-47][bug-48]")
{
    const MemoryRepository memory;
    write_summary(*memory.repository, kStanza, sample_summary());
    memory.flip(summary_path(kStanza, kLabel), 20);
    CHECK_THROWS_MATCHES(
        list_backups(*memory.repository, kStanza), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("a damaged summary does not hide the other backups from those who ask for them",
          "[repository][catalog][bug-47]")
{
    const MemoryRepository memory;
    const std::string next = "20261122-020000F";
    write_summary(*memory.repository, kStanza, sample_summary());
    write_summary(*memory.repository, kStanza, sample_summary(next));
    memory.flip(summary_path(kStanza, kLabel), 20);
    std::vector<std::string> told;
    const auto backups = list_backups(
        *memory.repository, kStanza, [&](const std::string& label, const Error& error) {
            told.push_back(label);
            CHECK(error.code() == ErrorCode::checksum);
        });
    REQUIRE(backups.size() == 1);
    CHECK(backups[0].label == next);
    CHECK(told == std::vector<std::string>{kLabel});
}

TEST_CASE("a summary with impossible members is refused", "[repository][catalog][bug-54]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    write_summary(*memory.repository, kStanza, sample_summary());
    const auto [member, value, code] = GENERATE(table<const char*, nlohmann::json, ErrorCode>({
        {"format", 2, ErrorCode::version_not_supported},
        {"label", "20261122-020000F", ErrorCode::format},
        {"label", 1, ErrorCode::format},
        {"type", "whole", ErrorCode::format},
        {"archive-id", "x", ErrorCode::format},
        {"reference", "20261121-020000F", ErrorCode::format},
        {"lsn-start", "1A2000028", ErrorCode::format},
        {"timeline", 4294967296, ErrorCode::format},
        {"size", -1, ErrorCode::format},
        {"wal-stop", nullptr, ErrorCode::format},
    }));
    CAPTURE(member);
    write_changed(memory, summary_path(kStanza, kLabel), member, value);
    CHECK_THROWS_MATCHES(read_summary(*memory.repository, kStanza, kLabel), Error, HasCode(code));
}

TEST_CASE("a listing that fails is no empty catalog", "[repository][catalog][bug-33]")
{
    const MemoryRepository memory;
    write_summary(*memory.repository, kStanza, sample_summary());
    storage::FaultPlan plan;
    plan.code = ErrorCode::service;
    const auto failing = storage::make_failing_storage(*memory.storage, plan);
    const auto repository = Repository::open(*failing, {});
    plan.fail_at = plan.count + 1;
    CHECK_THROWS_MATCHES(list_backups(*repository, kStanza), Error, HasCode(ErrorCode::service));
}

TEST_CASE("clusters come back in the order of their generations", "[repository][catalog][bug-29]")
{
    const MemoryRepository memory;
    for (const ArchiveId id : {ArchiveId{9, 10}, ArchiveId{15, 2}, ArchiveId{13, 1}}) {
        write_cluster(*memory.repository, kStanza, sample_cluster(id));
    }

    const auto clusters = list_clusters(*memory.repository, kStanza);

    REQUIRE(clusters.size() == 3);
    CHECK(clusters[0].id == ArchiveId{13, 1});
    CHECK(clusters[1].id == ArchiveId{15, 2});
    CHECK(clusters[2].id == ArchiveId{9, 10});
    CHECK(clusters[1].system_identifier == 7312345678901234567);
    CHECK(clusters[1].control_version == 1300);
    CHECK(clusters[1].catalog_version == 202209061);
    CHECK(clusters[1].page_size == 8192);
    CHECK(clusters[1].wal_segment_size == 16U << 20U);
    CHECK(list_clusters(*memory.repository, "other").empty());
}

TEST_CASE("an empty directory is no cluster, and WAL without a description is damage",
          "[repository][catalog][bug-24][bug-47]")
{
    const TemporaryDirectory directory;
    const auto storage = storage::make_posix_storage({.root = directory.path()});
    const auto repository = Repository::open_or_create(*storage, {});
    write_cluster(*repository, kStanza, sample_cluster({15, 1}));
    // What a stanza-create that was cut off leaves behind.
    std::filesystem::create_directories(directory / "archive/demo/16-2");
    CHECK(list_clusters(*repository, kStanza).size() == 1);

    storage::write_file(*storage, "archive/demo/16-2/0000000100000000/x", as_bytes("x"));
    CHECK_THROWS_MATCHES(
        list_clusters(*repository, kStanza), Error, HasCode(ErrorCode::file_missing));
}

TEST_CASE("a cluster is described once and only in its own place", "[repository][catalog][bug-18]")
{
    const MemoryRepository memory;
    write_cluster(*memory.repository, kStanza, sample_cluster({15, 1}));
    CHECK_THROWS_MATCHES(write_cluster(*memory.repository, kStanza, sample_cluster({15, 1})),
                         Error,
                         HasCode(ErrorCode::file_exists));
    memory.replace(cluster_path(kStanza, {15, 2}), memory.read(cluster_path(kStanza, {15, 1})));
    CHECK_THROWS_MATCHES(
        list_clusters(*memory.repository, kStanza), Error, HasCode(ErrorCode::format));
}

TEST_CASE("what is known of a cluster survives in its copy", "[repository][catalog][bug-47]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    write_cluster(*memory.repository, kStanza, sample_cluster({15, 1}));
    const std::string path = cluster_path(kStanza, {15, 1});
    const bool is_removed = GENERATE(false, true);
    const auto lose = [&](const std::string& lost) {
        if (is_removed) {
            memory.storage->remove(lost);
        } else {
            memory.flip(lost, 30);
        }
    };
    storage::write_file(
        *memory.storage, archive_path(kStanza, {15, 1}) + "/0000000100000000/x", as_bytes("x"));
    lose(path);

    const auto found = list_clusters(*memory.repository, kStanza);
    REQUIRE(found.size() == 1);
    CHECK(found[0].system_identifier == sample_cluster({15, 1}).system_identifier);

    mend_cluster(*memory.repository, kStanza, {15, 1});
    CHECK(
        inspect_cluster(*memory.repository, kStanza, {15, 1}, [](auto&) { return true; }).empty());
    for (const std::string& lost : cluster_paths(kStanza, {15, 1})) {
        lose(lost);
    }
    CHECK_THROWS_MATCHES(list_clusters(*memory.repository, kStanza),
                         Error,
                         HasCode(is_removed ? ErrorCode::file_missing : ErrorCode::checksum));
}

TEST_CASE("a cluster with impossible sizes is refused", "[repository][catalog][bug-22][bug-54]")
{
    const MemoryRepository memory;
    write_cluster(*memory.repository, kStanza, sample_cluster({15, 1}));
    const auto [member, value] = GENERATE(table<const char*, nlohmann::json>({
        {"wal-segment-size", 0},
        {"wal-segment-size", 4294967296 + (16U << 20U)},
        {"wal-segment-size", 12345678},
        {"page-size", 4294967296},
        {"control-version", "1300"},
    }));
    write_changed(memory, cluster_path(kStanza, {15, 1}), member, value);
    CHECK_THROWS_MATCHES(
        list_clusters(*memory.repository, kStanza), Error, HasCode(ErrorCode::format));
}

TEST_CASE("stanzas are the directories of archive and backup", "[repository][catalog]")
{
    const MemoryRepository memory;
    write_cluster(*memory.repository, "b", sample_cluster({15, 1}));
    write_summary(*memory.repository, "b", sample_summary());
    write_summary(*memory.repository, "a", sample_summary());
    storage::write_file(*memory.storage, "archive/a file", as_bytes("x"));
    storage::write_file(*memory.storage, "archive/file", as_bytes("x"));
    storage::write_file(*memory.storage, "archive/.hidden/x", as_bytes("x"));
    CHECK(list_stanzas(*memory.storage) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a cluster is made from its control file", "[repository][catalog]")
{
    postgres::ControlFile control;
    control.major = 15;
    control.system_identifier = 1;
    control.control_version = 2;
    control.catalog_version = 3;
    control.page_size = 4;
    control.wal_segment_size = 5;
    const Cluster cluster = make_cluster(control, 7);
    CHECK(cluster.id == ArchiveId{15, 7});
    CHECK(cluster.system_identifier == 1);
    CHECK(cluster.control_version == 2);
    CHECK(cluster.catalog_version == 3);
    CHECK(cluster.page_size == 4);
    CHECK(cluster.wal_segment_size == 5);
}
