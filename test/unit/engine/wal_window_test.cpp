// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "support/matchers.hpp"
#include "unit/engine/copied_backup.hpp"
#include "unit/postgres/wal_builder.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/engine/wal_window.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::archive_file;
using pgstrata::test::HasCode;
using pgstrata::test::HookedStorage;
using pgstrata::test::kArchiveId;
using pgstrata::test::kRestoreStanza;
using pgstrata::test::StorageCall;
using pgstrata::test::WalBuilder;
using postgres::Lsn;
using repository::ArchiveId;

namespace {

constexpr std::int64_t kServerEpochMicroseconds = 946684800'000000; // 2000-01-01 in Unix time

std::string name_of(postgres::Timeline timeline, std::uint64_t number)
{
    return postgres::to_string({timeline, number}, WalBuilder::kSegmentSize);
}

struct WindowFixture {
    WindowFixture()
    {
        backup.archive_id = kArchiveId;
        backup.timeline = 1;
        backup.start_lsn = Lsn{3 * std::uint64_t{WalBuilder::kSegmentSize} + 0x28};
        backup.stop_lsn = Lsn{4 * std::uint64_t{WalBuilder::kSegmentSize} + 0x100};
        cluster.id = kArchiveId;
        cluster.wal_segment_size = WalBuilder::kSegmentSize;
    }

    // Only the names count here.
    void archive(postgres::Timeline timeline, const std::vector<std::uint64_t>& numbers) const
    {
        for (const std::uint64_t number : numbers) {
            archive_file(*repository, kArchiveId, name_of(timeline, number), as_bytes("any"));
        }
    }

    WalWindow find(postgres::Timeline timeline = 1) const
    {
        const auto path = repository::wal_path(backup, timeline, tree, WalBuilder::kSegmentSize);
        return find_wal_window(places, kRestoreStanza, backup, path, WalBuilder::kSegmentSize);
    }

    void archive(const WalBuilder& builder, postgres::Timeline timeline = 1)
    {
        for (std::size_t i = 0; i < builder.segments(); ++i) {
            const postgres::WalSegment segment{timeline, WalBuilder::kFirstSegment + i};
            archive_file(
                *repository, kArchiveId, name_of(timeline, segment.number), builder.segment(i));
            window.segments.push_back(segment);
        }
    }

    std::optional<std::int64_t> newest(std::size_t depth = 16) const
    {
        return newest_transaction_end(places, kRestoreStanza, cluster, window, depth).time;
    }

    bool is_proved_absent(std::size_t depth) const
    {
        return newest_transaction_end(places, kRestoreStanza, cluster, window, depth)
            .is_proved_absent;
    }

    std::unique_ptr<storage::Storage> storage = storage::make_memory_storage();
    std::unique_ptr<repository::Repository> repository =
        repository::Repository::open_or_create(*storage, {});
    std::vector<WalPlace> places = {{repository.get(), kArchiveId}};
    repository::BackupSummary backup;
    repository::Cluster cluster;
    repository::TimelineTree tree;
    WalWindow window;
};

// "1:3 1:4", the gap after a bang.
std::string describe(const WalWindow& window)
{
    std::string text;
    for (const postgres::WalSegment& segment : window.segments) {
        text += fmt::format("{}{}:{}", text.empty() ? "" : " ", segment.timeline, segment.number);
    }
    if (window.gap) {
        text += fmt::format(" !{}:{}", window.gap->timeline, window.gap->number);
    }
    return text;
}

constexpr std::uint8_t kCommit = 0x00;
constexpr std::uint8_t kAbort = 0x20;
constexpr std::uint8_t kPrepare = 0x10;

// A record of the transaction manager with a time, in microseconds after 2000.
void append_transaction(WalBuilder& builder, std::uint8_t info, std::int64_t time)
{
    std::vector<std::byte> data(8);
    store(data.data(), time);
    builder.append(1, info, data);
}

} // namespace

TEST_CASE_METHOD(WindowFixture,
                 "the window reaches to the first missing segment",
                 "[wal_window][bug-20]")
{
    struct Row {
        std::vector<std::uint64_t> archived;
        std::string expected;
        bool has_backup_wal;
    };
    const auto row = GENERATE(values<Row>({
        {{}, "", false},
        {{3}, "1:3", false},
        {{3, 4}, "1:3 1:4", true},
        {{3, 4, 5, 6}, "1:3 1:4 1:5 1:6", true},
        {{1, 2, 3, 4, 5}, "1:3 1:4 1:5", true},
        {{4, 5}, " !1:3", false},
        {{1, 2}, "", false},
        {{3, 5, 6}, "1:3 !1:4", false},
        {{3, 4, 6, 8}, "1:3 1:4 !1:5", true},
    }));
    archive(1, row.archived);
    const WalWindow found = find();
    CHECK(describe(found) == row.expected);
    CHECK(found.has_backup_wal == row.has_backup_wal);
}

TEST_CASE_METHOD(WindowFixture,
                 "a backup that stops on the border of a segment needs only those before",
                 "[wal_window][bug-22]")
{
    backup.stop_lsn = Lsn{4 * std::uint64_t{WalBuilder::kSegmentSize}};
    archive(1, {3});
    CHECK(find().has_backup_wal);
    backup.stop_lsn.value += 8;
    CHECK_FALSE(find().has_backup_wal);
}

TEST_CASE_METHOD(WindowFixture,
                 "the window goes on over the border between two directories",
                 "[wal_window][bug-22]")
{
    backup.start_lsn = Lsn{0xFFF00028};
    backup.stop_lsn = Lsn{0xFFF00100};
    archive(1, {0xFFF, 0x1000, 0x1001, 0x1003});
    CHECK(describe(find()) == "1:4095 1:4096 1:4097 !1:4098");
}

TEST_CASE_METHOD(WindowFixture,
                 "the window follows a switch of the timeline",
                 "[wal_window][bug-21]")
{
    tree = {{2, {{1, Lsn{5 * std::uint64_t{WalBuilder::kSegmentSize} + 0x100}}}}};
    struct Row {
        std::vector<std::uint64_t> parent;
        std::vector<std::uint64_t> child;
        std::string expected;
    };
    const auto row = GENERATE(values<Row>({
        {{3, 4}, {5, 6}, "1:3 1:4 2:5 2:6"},
        {{3, 4}, {}, "1:3 1:4"},
        {{3, 4, 5, 6}, {5, 6}, "1:3 1:4 2:5 2:6"}, // the parent lived on
        {{3, 4, 5, 6}, {}, "1:3 1:4"},
        {{3, 4}, {6}, "1:3 1:4 !2:5"},
        {{3}, {5, 6}, "1:3 !1:4"},
        {{4}, {5}, " !1:3"},
        {{}, {5}, " !1:3"},
        {{3}, {}, "1:3"},
        {{3, 4, 5, 7}, {5}, "1:3 1:4 2:5"}, // a gap after the switch is nobody's
    }));
    archive(1, row.parent);
    archive(2, row.child);
    CHECK(describe(find(2)) == row.expected);
}

TEST_CASE_METHOD(WindowFixture,
                 "a backup whose last segment was left half way is whole with the child's",
                 "[wal_window][bug-21]")
{
    tree = {{2, {{1, Lsn{4 * std::uint64_t{WalBuilder::kSegmentSize} + 0x200}}}}};
    archive(1, {3});
    archive(2, {4});
    const WalWindow found = find(2);
    CHECK(describe(found) == "1:3 2:4");
    CHECK(found.has_backup_wal);
}

TEST_CASE_METHOD(WindowFixture,
                 "timelines above 9 are found by their hexadecimal names",
                 "[wal_window][bug-21]")
{
    tree = {{16,
             {{1, Lsn{4 * std::uint64_t{WalBuilder::kSegmentSize} + 0x200}},
              {10, Lsn{6 * std::uint64_t{WalBuilder::kSegmentSize} + 0x200}}}}};
    archive(1, {3});
    archive(10, {4, 5});
    archive(16, {6, 7});
    CHECK(describe(find(16)) == "1:3 10:4 10:5 16:6 16:7");
}

TEST_CASE_METHOD(WindowFixture,
                 "other files and a segment stored twice do not count as segments",
                 "[wal_window]")
{
    archive(1, {3, 5});
    archive_file(*repository, kArchiveId, name_of(1, 3), as_bytes("other contents"));
    archive_file(*repository, kArchiveId, name_of(1, 4) + ".partial", as_bytes("any"));
    archive_file(*repository, kArchiveId, name_of(1, 4) + ".00000028.backup", as_bytes("any"));
    archive_file(
        *repository, kArchiveId, "00000002.history", as_bytes("1\t0/5000000\tno reason\n"));
    CHECK(describe(find()) == "1:3 !1:4");
}

TEST_CASE_METHOD(WindowFixture, "the newest end of a transaction is found", "[wal_window][bug-40]")
{
    WalBuilder builder;
    builder.append_text("something else");
    append_transaction(builder, kCommit, 1000);
    append_transaction(builder, kCommit, 5000);
    append_transaction(builder, kAbort, 7000);
    append_transaction(builder, kCommit, 3000);  // clocks may go back
    append_transaction(builder, kPrepare, 9000); // not an end
    archive(builder);
    CHECK(newest() == kServerEpochMicroseconds + 7000);
}

TEST_CASE_METHOD(WindowFixture,
                 "segments are searched from the last one on, as far as allowed",
                 "[wal_window][bug-40]")
{
    WalBuilder builder;
    append_transaction(builder, kCommit, 5000);
    builder.append_switch();
    append_transaction(builder, kCommit, 4000);
    builder.append_switch();
    builder.append_text("idle");
    builder.append_switch();
    builder.append_text("idle");
    archive(builder);
    REQUIRE(window.segments.size() == 4);
    CHECK(newest(16) == kServerEpochMicroseconds + 4000);
    CHECK(newest(3) == kServerEpochMicroseconds + 4000);
    CHECK_FALSE(newest(2));
    CHECK_FALSE(newest(0));
}

TEST_CASE_METHOD(WindowFixture,
                 "that no transaction ended is proved by the whole window only",
                 "[wal_window][bug-40]")
{
    WalBuilder builder;
    builder.append_text("idle");
    builder.append_switch();
    builder.append_text("idle");
    archive(builder);
    REQUIRE(window.segments.size() == 2);
    CHECK_FALSE(newest(2));
    CHECK(is_proved_absent(2));
    CHECK_FALSE(is_proved_absent(1));
}

TEST_CASE_METHOD(WindowFixture,
                 "a record that runs over from the segment before does not stop the search",
                 "[wal_window][bug-23]")
{
    WalBuilder builder;
    append_transaction(builder, kCommit, 1000);
    builder.append_text(std::string(WalBuilder::kSegmentSize - 2 * WalBuilder::kPageSize, 'x'));
    builder.append_text(std::string(3 * WalBuilder::kPageSize, 'y')); // into the next segment
    append_transaction(builder, kCommit, 2000);
    archive(builder);
    REQUIRE(window.segments.size() == 2);
    CHECK(newest(1) == kServerEpochMicroseconds + 2000);
}

TEST_CASE_METHOD(WindowFixture,
                 "without segments or with one lost nothing is known",
                 "[wal_window]")
{
    CHECK_FALSE(newest());
    window.segments = {{1, 3}};
    CHECK_FALSE(newest());
}

TEST_CASE_METHOD(WindowFixture,
                 "a segment that was changed in the archive is an error",
                 "[wal_window][bug-58]")
{
    WalBuilder builder;
    append_transaction(builder, kCommit, 1000);
    archive(builder);
    const std::string directory = repository::wal_directory(
        kRestoreStanza, kArchiveId, name_of(1, WalBuilder::kFirstSegment));
    storage->list(directory, [&](const storage::EntryInfo& entry) {
        storage::write_file(*storage,
                            directory + "/" + entry.name,
                            as_bytes(std::string(WalBuilder::kSegmentSize, 'x')),
                            storage::WriteMode::replace);
    });
    CHECK_THROWS_MATCHES(newest(), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE_METHOD(WindowFixture,
                 "the tree has the history of every timeline that has one",
                 "[wal_window][bug-21]")
{
    DamagedHistories damaged;
    CHECK(read_sound_timelines(*repository, kRestoreStanza, kArchiveId, damaged).empty());
    archive_file(
        *repository, kArchiveId, "00000002.history", as_bytes("1\t0/5000000\tno reason\n"));
    archive_file(*repository,
                 kArchiveId,
                 "0000000B.history",
                 as_bytes("1\t0/5000000\tno reason\n2\t0/6000000\tno reason\n"));
    archive_file(*repository, {15, 2}, "00000003.history", as_bytes("1\t0/1\tanother's\n"));
    archive(1, {3});
    const auto read = read_sound_timelines(*repository, kRestoreStanza, kArchiveId, damaged);
    CHECK(damaged.empty());
    REQUIRE(read.size() == 2);
    CHECK(read.at(2).at(0).switch_point == Lsn{0x5000000});
    REQUIRE(read.at(11).size() == 2);
    CHECK(read.at(11).at(1).timeline == 2);
    CHECK(read.at(11).at(1).switch_point == Lsn{0x6000000});
}

TEST_CASE_METHOD(WindowFixture, "two histories of one timeline are none", "[wal_window][bug-18]")
{
    archive_file(
        *repository, kArchiveId, "00000002.history", as_bytes("1\t0/5000000\tno reason\n"));
    archive_file(
        *repository, kArchiveId, "00000002.history", as_bytes("1\t0/6000000\tno reason\n"));
    DamagedHistories damaged;
    CHECK(read_sound_timelines(*repository, kRestoreStanza, kArchiveId, damaged).empty());
    CHECK(damaged.at(2).code() == ErrorCode::archive_duplicate);
}

TEST_CASE_METHOD(WindowFixture,
                 "a history that cannot be made out does not keep the others from being read",
                 "[wal_window][bug-21]")
{
    archive_file(
        *repository, kArchiveId, "00000002.history", as_bytes("1\t0/5000000\tno reason\n"));
    archive_file(
        *repository, kArchiveId, "00000003.history", as_bytes("1\t0/6000000\tno reason\n"));
    const auto code = GENERATE(ErrorCode::access, ErrorCode::file_open, ErrorCode::checksum);
    const bool is_away = GENERATE(false, true);
    bool is_refused = false;
    HookedStorage refusing(*storage, [&](StorageCall call, std::string_view path) {
        is_refused = is_refused || path.find("00000002.history") != std::string_view::npos;
        if (call == StorageCall::open && is_refused &&
            (is_away || path.find("00000002.history") != std::string_view::npos)) {
            raise(is_away ? ErrorCode::service : code, "'{}' is refused", path);
        }
    });
    const auto opened = repository::Repository::open(refusing, {});
    DamagedHistories damaged;

    if (is_away) {
        CHECK_THROWS_MATCHES(read_sound_timelines(*opened, kRestoreStanza, kArchiveId, damaged),
                             Error,
                             HasCode(ErrorCode::service));
    } else {
        CHECK(read_sound_timelines(*opened, kRestoreStanza, kArchiveId, damaged).count(3) == 1);
        REQUIRE(damaged.size() == 1);
        CHECK(damaged.at(2).code() == code);
    }
}
