// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "support/recorded_log.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/util/time.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

constexpr auto kOld = "20261101-000000F";
constexpr auto kNew = "20261102-000000F";

DamagedPlace place(const char* label, std::uint32_t pack, std::uint64_t begin)
{
    DamagedPlace one{.pack = {label, pack}, .begin = begin, .end = begin + 1};
    one.problem = "broken";
    return one;
}

VerifyRecord record(unsigned number,
                    const std::set<PackName>& packs,
                    const std::vector<DamagedPlace>& damage = {})
{
    VerifyRecord one;
    one.number = number;
    one.start = number * 100;
    one.stop = one.start + 50;
    one.packs = packs;
    for (const DamagedPlace& hurt : damage) {
        one.damage.add(hurt);
    }
    return one;
}

Extent extent(std::uint64_t offset, std::uint32_t position, std::uint32_t size)
{
    return {0, offset, 100, position, size};
}

} // namespace

TEST_CASE("damage hits what overlaps it and nothing else", "[repository][verify]")
{
    Damage damage;
    damage.add(place(kOld, 1, 64));
    DamagedPlace page = place(kOld, 1, 500);
    page.position = 8192;
    page.size = 8192;
    damage.add(page);

    CHECK(damage.hits({kOld, 1}, extent(64, 0, 1)));
    CHECK(damage.hits({kOld, 1}, extent(64, 9000, 10)));
    CHECK_FALSE(damage.hits({kOld, 1}, extent(65, 0, 1)));
    CHECK_FALSE(damage.hits({kOld, 2}, extent(64, 0, 1)));
    CHECK_FALSE(damage.hits({kNew, 1}, extent(64, 0, 1)));
    CHECK_FALSE(damage.hits({kOld, 1}, extent(500, 0, 8192)));
    CHECK(damage.hits({kOld, 1}, extent(500, 0, 8193)));
    CHECK(damage.hits({kOld, 1}, extent(500, 16383, 1)));
    CHECK_FALSE(damage.hits({kOld, 1}, extent(500, 16384, 1)));
}

TEST_CASE("a pack that is damaged all over is damaged as a whole", "[repository][verify]")
{
    Damage damage;
    for (std::uint64_t i = 0; i < 5000; ++i) {
        damage.add(place(kOld, 1, i * 10));
        damage.add(place(kOld, 1, i * 10));
    }
    CHECK(damage.places().at({kOld, 1}).size() == 1);
    CHECK(damage.hits({kOld, 1}, extent(123456789, 0, 1)));
}

TEST_CASE("a record of verify is read as it was written", "[repository][verify]")
{
    MemoryRepository memory(GENERATE(false, true) ? gcm_setting() : CipherSetting());
    VerifyRecord one = record(0, {{kOld, 0}, {kOld, 1}, {kOld, 3}, {kNew, 7}});
    one.stop = 500;
    one.host = "h";
    one.set = kNew;
    one.from = UINT64_MAX - 1;
    one.to = 17;
    one.depth = GENERATE(VerifyDepth::quick, VerifyDepth::full);
    one.pack_bytes = 1U << 30U;
    one.segments = 4;
    one.findings = 2;
    DamagedPlace all{.pack = {kNew, 7}};
    all.problem = "gone";
    one.damage.add(all);
    DamagedPlace page = place(kOld, 1, 64);
    page.position = 8192;
    page.size = 8192;
    one.damage.add(page);
    one.wal = {{"archive/demo/15-1/x", "torn"}};

    write_verify_record(*memory, kStanza, one);
    write_verify_record(*memory, kStanza, record(0, {}));

    const auto read = read_verify_records(*memory, kStanza);
    REQUIRE(read.size() == 2);
    CHECK(read[0].number == 1);
    CHECK(read[1].number == 2);
    CHECK(read[0].packs == one.packs);
    CHECK(read[0].start == one.start);
    CHECK(read[0].stop == 500);
    CHECK(read[0].host == "h");
    CHECK(read[0].set == kNew);
    CHECK(read[0].from == one.from);
    CHECK(read[0].to == 17);
    CHECK(read[0].depth == one.depth);
    CHECK(read[0].pack_bytes == one.pack_bytes);
    CHECK(read[0].segments == 4);
    CHECK(read[0].findings == 2);
    CHECK(read[0].damage.hits({kNew, 7}, extent(UINT64_MAX - 1, 0, 1)));
    CHECK(read[0].damage.hits({kOld, 1}, extent(64, 8192, 1)));
    CHECK_FALSE(read[0].damage.hits({kOld, 1}, extent(64, 0, 8192)));
    CHECK(read[0].damage.places().at({kNew, 7}).at(0).problem == "gone");
    CHECK(read[0].wal == one.wal);
}

TEST_CASE("a record of verify that is out of bounds is passed over", "[repository][verify]")
{
    log::configure({.console = log::Level::off});
    MemoryRepository memory;
    write_verify_record(*memory, kStanza, record(0, {{kOld, 1}}));
    nlohmann::json document = memory.repository->read_document(verify_path(kStanza, 1));
    document.erase("checksum");
    const auto* packs = GENERATE(R"([])",
                                 R"({"../x":[[0,1]]})",
                                 R"({"20261101-000000F":[[1,0]]})",
                                 R"({"20261101-000000F":[[0,1000000000]]})",
                                 R"({"20261101-000000F":[[0]]})",
                                 R"({"20261101-000000F":[[-1,0]]})",
                                 R"({"20261101-000000F":"x"})");
    document["packs"] = nlohmann::json::parse(packs);
    memory.repository->write_document(
        verify_path(kStanza, 1), document, storage::WriteMode::replace);

    CHECK(read_verify_records(*memory, kStanza).empty());
    log::configure({});
}

TEST_CASE("a later run over a pack is all that counts of it", "[repository][verify]")
{
    const std::vector<std::string> labels = {kOld, kNew};
    const VerifyRecord first =
        record(1, {{kOld, 0}, {kOld, 1}}, {place(kOld, 0, 64), place(kOld, 1, 64)});

    CHECK(known_damage({first}, labels).has({kOld, 0}));
    CHECK(known_damage({first}, {kNew}).is_empty());
    const Damage known = known_damage({first, record(2, {{kOld, 0}})}, labels);
    CHECK_FALSE(known.has({kOld, 0}));
    CHECK(known.has({kOld, 1}));
    const Damage again =
        known_damage({first, record(2, {{kOld, 0}}, {place(kOld, 0, 99)})}, labels);
    CHECK(again.hits({kOld, 0}, extent(99, 0, 1)));
    CHECK_FALSE(again.hits({kOld, 0}, extent(64, 0, 1)));
}

TEST_CASE("a record of verify of an earlier version is read, as of a full run",
          "[repository][verify]")
{
    MemoryRepository memory;
    write_verify_record(*memory, kStanza, record(0, {{kOld, 1}}));
    nlohmann::json document = memory.repository->read_document(verify_path(kStanza, 1));
    document.erase("checksum");
    document.erase("wal");
    document.erase("depth");
    memory.repository->write_document(
        verify_path(kStanza, 1), document, storage::WriteMode::replace);

    const auto records = read_verify_records(*memory, kStanza);
    REQUIRE(records.size() == 1);
    CHECK(records[0].depth == VerifyDepth::full);
}

TEST_CASE("a record of verify of a depth that nobody knows is passed over", "[repository][verify]")
{
    log::configure({.console = log::Level::off});
    MemoryRepository memory;
    write_verify_record(*memory, kStanza, record(0, {}));
    nlohmann::json document = memory.repository->read_document(verify_path(kStanza, 1));
    document.erase("checksum");
    document["depth"] = "deeper";
    memory.repository->write_document(
        verify_path(kStanza, 1), document, storage::WriteMode::replace);

    CHECK(read_verify_records(*memory, kStanza).empty());
    log::configure({});
}

TEST_CASE("a quick run refutes nothing that an earlier one found", "[repository][verify]")
{
    const std::string path = "archive/demo/15-1/x";
    VerifyRecord first = record(1, {{kOld, 0}}, {place(kOld, 0, 64)});
    first.wal = {{path, "torn"}};
    VerifyRecord quick = record(2, {});
    quick.depth = VerifyDepth::quick;

    CHECK(known_damage({first, quick}, {kOld}).has({kOld, 0}));
    CHECK(known_damaged_wal({first, quick}).contains(path));
    CHECK(useless_records({first, quick}, {kOld}) == std::vector<unsigned>{});
}

TEST_CASE("of WAL that is damaged all over a record names only the first", "[repository][verify]")
{
    MemoryRepository memory;
    VerifyRecord one = record(0, {});
    for (int i = 0; i < 3000; ++i) {
        one.wal.emplace(fmt::format("archive/demo/15-1/{:04}", i), "torn");
    }
    write_verify_record(*memory, kStanza, one);

    const auto read = read_verify_records(*memory, kStanza);
    REQUIRE(read.size() == 1);
    CHECK(read[0].wal.size() == 1000);
    CHECK(read[0].wal.contains("archive/demo/15-1/0000"));
}

TEST_CASE("damage is known since the run that found it", "[repository][verify]")
{
    const Damage known = known_damage(
        {record(1, {{kOld, 0}}, {place(kOld, 0, 64)}), record(2, {}, {place(kOld, 0, 64)})},
        {kOld});

    CHECK(known.places().at({kOld, 0}).at(0).since == 100);
}

TEST_CASE("damaged WAL is known until a run over all backups has read its share",
          "[repository][verify]")
{
    const std::string path = "archive/demo/15-1/x";
    VerifyRecord first = record(1, {});
    first.wal = {{path, "torn"}};
    VerifyRecord set = record(2, {});
    set.set = kOld;
    VerifyRecord share = record(3, {});
    const std::uint64_t hash = codec::xxh3_64(as_bytes(path));
    share.from = hash;
    share.to = hash + 1;
    VerifyRecord other = record(4, {});
    other.from = hash + 1;
    other.to = hash;

    CHECK(known_damaged_wal({first}).at(path).problem == "torn");
    CHECK(known_damaged_wal({first, set, other}).at(path).since == 100);
    CHECK(known_damaged_wal({first, share}).empty());
    CHECK(known_damaged_wal({first, record(2, {})}).empty());
    const std::vector<unsigned> none;
    CHECK(useless_records({first, other}, {}) == none);
    CHECK(useless_records({first, share}, {}) == std::vector<unsigned>{1});
}

TEST_CASE("the share that was verified since a time is told in bytes", "[repository][verify]")
{
    const std::vector<PackInfo> packs = {{{kOld, 0}, 10}, {{kOld, 1}, 20}, {{kNew, 0}, 40}};
    const std::vector<VerifyRecord> records = {record(1, {{kOld, 0}, {kOld, 1}}),
                                               record(2, {{kOld, 1}, {kNew, 0}})};

    CHECK(verified_bytes(records, 0, packs) == 70);
    CHECK(verified_bytes(records, 101, packs) == 60);
    CHECK(verified_bytes(records, 201, packs) == 0);
}

TEST_CASE("the next share begins where the last run over all ended", "[repository][verify]")
{
    VerifyRecord all = record(1, {});
    all.to = 77;
    VerifyRecord set = record(2, {});
    set.set = kOld;
    set.to = 5;

    VerifyRecord quick = record(3, {});
    quick.depth = VerifyDepth::quick;
    quick.to = 9;

    CHECK(next_share({}, VerifyDepth::full) == 0);
    CHECK(next_share({all}, VerifyDepth::full) == 77);
    CHECK(next_share({all, set}, VerifyDepth::full) == 77);
    CHECK(next_share({all, set}, VerifyDepth::quick) == 0);
    CHECK(next_share({all, set, quick}, VerifyDepth::full) == 77);
    CHECK(next_share({all, set, quick}, VerifyDepth::quick) == 9);
}

TEST_CASE("records that say nothing any more are of no use", "[repository][verify]")
{
    const std::vector<std::string> labels = {kOld, kNew};
    const std::vector<unsigned> none;
    const auto first = record(1, {{kOld, 0}});
    const auto second = record(2, {{kOld, 1}});

    CHECK(useless_records({first, second}, labels) == none);
    CHECK(useless_records({first, second}, {kNew}) == std::vector<unsigned>{1});
    CHECK(useless_records({first, record(2, {{kOld, 0}, {kOld, 1}})}, labels) ==
          std::vector<unsigned>{1});
    // Damage that was found besides counts until its pack is read again.
    const auto hurt = record(1, {{kOld, 0}}, {place(kOld, 5, 64)});
    CHECK(useless_records({hurt, record(2, {{kOld, 0}})}, labels) == none);
    CHECK(useless_records({hurt, record(2, {{kOld, 0}, {kOld, 5}})}, labels) ==
          std::vector<unsigned>{1});
    // The newest run over all knows where the next share begins.
    VerifyRecord set = record(3, {});
    set.set = kOld;
    CHECK(useless_records({record(1, {}), record(2, {}), set}, labels) ==
          std::vector<unsigned>{3, 1});
    VerifyRecord quick = record(3, {});
    quick.depth = VerifyDepth::quick;
    CHECK(useless_records({record(1, {}), record(2, {}), quick}, labels) ==
          std::vector<unsigned>{1});
}

TEST_CASE("what runs at the same time found counts all, whichever ended last",
          "[repository][verify]")
{
    const std::vector<std::string> labels = {kOld, kNew};
    const PackName pack{kOld, 0};
    const std::string wal = "archive/demo/15-1/x";
    // The long one read the pack, or did not, at any time of the short one.
    VerifyRecord quick = record(1, {pack}, {place(kOld, 0, 64)});
    quick.wal = {{wal, "torn"}};
    VerifyRecord long_run = record(2, {pack});
    const auto [start, is_known] = GENERATE(table<UnixSeconds, bool>(
        {{50, true}, {100, true}, {120, true}, {149, true}, {150, false}, {200, false}}));
    CAPTURE(start);
    long_run.start = start;
    long_run.stop = 1000;

    CHECK(known_damage({quick, long_run}, labels).has(pack) == is_known);
    CHECK(known_damaged_wal({quick, long_run}).contains(wal) == is_known);
    CHECK(useless_records({quick, long_run}, labels).empty() == is_known);
    // The other way round the long one found it and the quick one ended first.
    std::swap(quick.damage, long_run.damage);
    CHECK(known_damage({quick, long_run}, labels).has(pack));
    CHECK(useless_records({quick, long_run, record(20, {pack})}, labels) ==
          std::vector<unsigned>{2, 1});
}

TEST_CASE("a clock that went back forgets no damage", "[repository][verify]")
{
    const std::vector<std::string> labels = {kOld};
    VerifyRecord hurt = record(1, {{kOld, 0}}, {place(kOld, 0, 64)});
    VerifyRecord later = record(2, {{kOld, 0}});
    later.start = 10;
    later.stop = 20;
    CHECK(known_damage({hurt, later}, labels).has({kOld, 0}));
    hurt.stop = 0; // it went back while the run was at work
    later.start = 99;
    CHECK(known_damage({hurt, later}, labels).has({kOld, 0}));
    later.start = 100;
    CHECK_FALSE(known_damage({hurt, later}, labels).has({kOld, 0}));
    // A newer one by the clock that ended before.
    VerifyRecord before = record(1, {{kOld, 0}});
    before.start = 900;
    VerifyRecord found = record(2, {{kOld, 0}}, {place(kOld, 0, 64)});
    CHECK(known_damage({before, found}, labels).has({kOld, 0}));
}

TEST_CASE("a record that could not name all damaged WAL takes none for sound",
          "[repository][verify]")
{
    VerifyRecord first = record(1, {});
    first.wal = {{"archive/demo/15-1/x", "torn"}};
    VerifyRecord full = record(2, {});
    for (int i = 0; i < 1000; ++i) {
        full.wal.emplace(fmt::format("archive/demo/15-1/{:04}", i), "torn");
    }
    CHECK(known_damaged_wal({first, full}).contains("archive/demo/15-1/x"));
    full.wal.erase(full.wal.begin());
    CHECK_FALSE(known_damaged_wal({first, full}).contains("archive/demo/15-1/x"));
}

TEST_CASE("a record that cannot be read stays until a run over everything has replaced it",
          "[repository][verify]")
{
    log::configure({.console = log::Level::off});
    MemoryRepository memory;
    write_verify_record(*memory, kStanza, record(0, {{kOld, 0}}, {place(kOld, 0, 64)}));
    memory.flip(verify_path(kStanza, 1), 30);
    VerifyRecord next = record(0, {{kOld, 0}});
    next.start = now_seconds() + 10;
    next.stop = next.start;
    bool replaces = false;
    SECTION("over everything")
    {
        replaces = true;
    }
    SECTION("not a set")
    {
        next.set = kOld;
    }
    SECTION("not a share")
    {
        next.to = 5;
    }
    SECTION("not one that had begun before")
    {
        next.start = 5;
    }
    write_verify_record(*memory, kStanza, next);

    prune_verify_records(*memory, kStanza, {kOld});

    CHECK(memory.storage->info(verify_path(kStanza, 1)).has_value() == !replaces);
    CHECK(memory.storage->info(verify_path(kStanza, 2)));
    log::configure({});
}

TEST_CASE("a record that the store refuses is passed over, and told of", "[repository][verify]")
{
    const auto code = GENERATE(ErrorCode::access, ErrorCode::service, ErrorCode::file_open);
    MemoryRepository memory;
    write_verify_record(*memory, kStanza, record(0, {{kOld, 0}}, {place(kOld, 0, 64)}));
    write_verify_record(*memory, kStanza, record(0, {{kNew, 0}}, {place(kNew, 0, 64)}));
    HookedStorage refusing(*memory.storage, [&](StorageCall call, std::string_view path) {
        if (call == StorageCall::open && path == verify_path(kStanza, 1)) {
            raise(code, "'{}' is refused", path);
        }
    });
    const auto repository = Repository::open(refusing, {});
    const WarningLog log;

    const auto records = read_verify_records(*repository, kStanza);

    REQUIRE(records.size() == 1);
    CHECK(records.front().number == 2);
    CHECK_THAT(log.text(), Catch::Contains(verify_path(kStanza, 1) + "' is refused"));
}

TEST_CASE("a store that does not answer is no damaged record", "[repository][verify]")
{
    MemoryRepository memory;
    write_verify_record(*memory, kStanza, record(0, {{kOld, 0}}, {place(kOld, 0, 64)}));
    storage::FaultPlan plan;
    plan.code = ErrorCode::service;
    plan.stay_broken = true;
    const auto failing = storage::make_failing_storage(*memory.storage, plan);
    const auto repository = Repository::open(*failing, {});
    plan.count = 0;
    plan.fail_at = 2;
    CHECK_THROWS_MATCHES(
        read_verify_records(*repository, kStanza), Error, HasCode(ErrorCode::service));
}
