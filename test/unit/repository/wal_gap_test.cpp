// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"
#include "unit/repository/wal_segments.hpp"

#include "pgstrata/repository/wal_gap.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

struct GapRun {
    explicit GapRun(const CipherSetting& setting = {}) : memory(setting)
    {
        cluster.id = {15, 2};
        cluster.wal_segment_size = kSegmentSize;
    }
    void drop(const std::string& name) const
    {
        write_gap(*memory, kStanza, cluster.id, {name, "the queue was full", 1795226400, "db1"});
    }
    void store(const std::string& name) const
    {
        const std::string path = wal_directory(kStanza, cluster.id, name) + "/" +
                                 to_string(WalObjectName{name, std::string(40, 'a'), false});
        storage::write_file(*memory.storage, path, as_bytes("x"));
    }
    // "first-last first-last"
    std::string gaps() const
    {
        std::string text;
        for (const WalRange& gap : list_gaps(*memory, kStanza, cluster)) {
            text += fmt::format("{}{}-{}", text.empty() ? "" : " ", gap.first, gap.last);
        }
        return text;
    }

    MemoryRepository memory;
    Cluster cluster;
};

} // namespace

TEST_CASE("a record of dropped WAL is read back", "[repository][wal_gap][bug-20]")
{
    const GapRun run(GENERATE(CipherSetting(), gcm_setting()));
    const std::string name = GENERATE(as<std::string>(),
                                      "000000010000000000000003",
                                      "000000010000000000000003.partial",
                                      "00000002.history");
    run.drop(name);

    const auto gap = read_gap(*run.memory, kStanza, run.cluster.id, name);

    REQUIRE(gap);
    CHECK(gap->wal_name == name);
    CHECK(gap->reason == "the queue was full");
    CHECK(gap->time == 1795226400);
    CHECK(gap->host == "db1");
    CHECK_THAT(describe_gap(*run.memory, kStanza, run.cluster.id, name),
               Catch::Contains("dropped on db1") && Catch::Contains("the queue was full"));
}

TEST_CASE("the first record of a file stays", "[repository][wal_gap]")
{
    const GapRun run;
    run.drop("000000010000000000000003");
    const Buffer before = run.memory.read("archive/demo/15-2/gap/000000010000000000000003.json");

    write_gap(*run.memory, kStanza, run.cluster.id, {"000000010000000000000003", "other", 1, "h"});

    CHECK(as_text(run.memory.read("archive/demo/15-2/gap/000000010000000000000003.json")) ==
          as_text(before));
}

TEST_CASE("what was not dropped has no record", "[repository][wal_gap]")
{
    const GapRun run;
    CHECK_FALSE(read_gap(*run.memory, kStanza, run.cluster.id, "000000010000000000000003"));
    CHECK(describe_gap(*run.memory, kStanza, run.cluster.id, "000000010000000000000003").empty());
    CHECK(run.gaps().empty());
}

TEST_CASE("a damaged record is an error and no reason to fail for somebody else",
          "[repository][wal_gap][bug-47]")
{
    const GapRun run;
    run.drop("000000010000000000000003");
    run.memory.flip("archive/demo/15-2/gap/000000010000000000000003.json", 20);

    CHECK_THROWS_MATCHES(read_gap(*run.memory, kStanza, run.cluster.id, "000000010000000000000003"),
                         Error,
                         HasCode(ErrorCode::checksum));
    CHECK(describe_gap(*run.memory, kStanza, run.cluster.id, "000000010000000000000003").empty());
}

TEST_CASE("a record under another name is refused", "[repository][wal_gap][bug-51]")
{
    const GapRun run;
    run.drop("000000010000000000000003");
    run.memory.replace("archive/demo/15-2/gap/000000010000000000000004.json",
                       run.memory.read("archive/demo/15-2/gap/000000010000000000000003.json"));

    CHECK_THROWS_MATCHES(read_gap(*run.memory, kStanza, run.cluster.id, "000000010000000000000004"),
                         Error,
                         HasCode(ErrorCode::format));
}

TEST_CASE("gaps are ranges of what is not in the archive", "[repository][wal_gap][bug-20][bug-22]")
{
    const auto [dropped, stored, expected] =
        GENERATE(table<std::vector<std::string>, std::vector<std::string>, std::string>({
            {{"000000010000000000000003"}, {}, "000000010000000000000003-000000010000000000000003"},
            {{"000000010000000000000003", "000000010000000000000004", "000000010000000000000006"},
             {},
             "000000010000000000000003-000000010000000000000004 "
             "000000010000000000000006-000000010000000000000006"},
            {{"0000000100000000000000FF", "000000010000000100000000"},
             {},
             "0000000100000000000000FF-000000010000000100000000"},
            {{"000000010000000000000003", "000000010000000000000004", "000000010000000000000005"},
             {"000000010000000000000004"},
             "000000010000000000000003-000000010000000000000003 "
             "000000010000000000000005-000000010000000000000005"},
            {{"000000010000000000000003"}, {"000000010000000000000003"}, ""},
            {{"000000010000000000000003", "000000020000000000000004"},
             {"000000010000000000000003.partial"},
             "000000010000000000000003-000000010000000000000003 "
             "000000020000000000000004-000000020000000000000004"},
            {{"00000002.history"}, {}, "00000002.history-00000002.history"},
        }));
    const GapRun run;
    for (const std::string& name : dropped) {
        run.drop(name);
    }
    for (const std::string& name : stored) {
        run.store(name);
    }
    storage::write_file(*run.memory.storage, "archive/demo/15-2/gap/notes.txt", as_bytes("x"));
    CHECK(run.gaps() == expected);
}

TEST_CASE("records of gaps are no WAL to those who list the archive", "[repository][wal_gap]")
{
    const GapRun run;
    run.drop("000000010000000000000003");
    run.drop("00000002.history");
    CHECK(wal_range(*run.memory, kStanza, run.cluster.id).first.empty());
    CHECK(list_timelines(*run.memory, kStanza, run.cluster.id).empty());
}
