// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/pack.hpp"
#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/time.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

codec::FrameBody body_of_text(std::string_view text)
{
    return {as_bytes(text), static_cast<std::uint32_t>(text.size()), codec::FrameCodec::none};
}

std::string
read_frame(const MemoryRepository& memory, const std::vector<PackInfo>& packs, const Extent& extent)
{
    PackReader reader(*memory.repository, kStanza, packs);
    return std::string(as_text(reader.read(extent)));
}

} // namespace

TEST_CASE("frames come back from where the writer said they are", "[repository][pack]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    PackSet set(*memory.repository, kStanza, kLabel, 1U << 20U);
    PackWriter writer(set);
    const Extent first = writer.append(body_of_text("first"));
    const Extent second = writer.append(body_of_text("the second"));
    CHECK(memory.storage->info(pack_path(kStanza, kLabel, 0)) == std::nullopt);
    writer.finish();

    const auto packs = set.finished();
    REQUIRE(packs.size() == 1);
    CHECK(packs[0].name == PackName{kLabel, 0});
    CHECK(packs[0].size == memory.read(pack_path(kStanza, kLabel, 0)).size());
    CHECK(first == Extent{0, 64, first.length, 0, 5});
    CHECK(second.size == 10);
    CHECK(read_frame(memory, packs, second) == "the second");
    CHECK(read_frame(memory, packs, first) == "first");
}

TEST_CASE("a pack that is full is followed by the next", "[repository][pack]")
{
    const MemoryRepository memory;
    PackSet set(*memory.repository, kStanza, kLabel, 300);
    PackWriter writer(set);
    CHECK_FALSE(writer.is_full());
    CHECK(writer.finish() == std::nullopt);
    std::vector<Extent> extents;
    const std::string text(100, 'x');
    for (std::uint32_t i = 0; i < 10; ++i) {
        extents.push_back(writer.append(body_of_text(text + std::to_string(i))));
        REQUIRE(writer.is_full() == (i % 2 == 1));
        if (writer.is_full()) {
            CHECK(writer.finish() == i / 2);
            CHECK_FALSE(writer.is_full());
        }
    }
    CHECK(writer.finish() == std::nullopt);

    const auto packs = set.finished();
    REQUIRE(packs.size() == 5); // 64 bytes of header and two frames of 141 reach 300
    for (std::size_t i = 0; i < extents.size(); ++i) {
        CHECK(extents[i].pack == i / 2);
        CHECK(read_frame(memory, packs, extents[i]) == text + std::to_string(i));
    }
}

TEST_CASE("the packs of several writers have their number as their position", "[repository][pack]")
{
    const MemoryRepository memory;
    PackSet set(*memory.repository, kStanza, kLabel, 200);
    run_workers(4, [&](std::size_t worker, const std::stop_token&) {
        PackWriter writer(set);
        for (int i = 0; i < 10; ++i) {
            writer.append(body_of_text(std::string(90, static_cast<char>('a' + worker))));
            writer.finish();
        }
    });

    const auto packs = set.finished();
    CHECK(packs.size() == 40);
    for (std::uint32_t i = 0; i < packs.size(); ++i) {
        CHECK(packs[i].name == PackName{kLabel, i});
    }
}

TEST_CASE("a writer that wrote nothing makes no pack", "[repository][pack]")
{
    const MemoryRepository memory;
    PackSet set(*memory.repository, kStanza, kLabel, 200);
    {
        PackWriter idle(set);
        idle.finish();
        PackWriter aborted(set);
        aborted.append(body_of_text("lost"));
    }
    CHECK(set.finished().empty());
    CHECK(names_in(*memory.storage, "backup").empty());
}

TEST_CASE("a pack that could not be made durable is not counted", "[repository][pack][bug-45]")
{
    const MemoryRepository memory;
    storage::FaultPlan plan;
    const auto failing = storage::make_failing_storage(*memory.storage, plan);
    const auto repository = Repository::open(*failing, {});
    const std::uint64_t before = plan.count;
    // create, two writes of headers, one of the body, two of the end frame, commit
    for (std::uint64_t n = 1; n <= 6; ++n) {
        plan.count = before;
        plan.fail_at = before + n;
        PackSet set(*repository, kStanza, kLabel, 1U << 20U);
        PackWriter writer(set);
        const auto write = [&] {
            writer.append(body_of_text("text"));
            writer.finish();
        };
        CAPTURE(n);
        CHECK_THROWS_MATCHES(write(), Error, HasCode(ErrorCode::file_write));
        CHECK(set.finished().empty());
        CHECK_FALSE(memory.storage->info(pack_path(kStanza, kLabel, 0)));
    }
}

TEST_CASE("a pack in another's place, or none at all, is noticed", "[repository][pack][bug-51]")
{
    const MemoryRepository memory(gcm_setting());
    PackSet set(*memory.repository, kStanza, kLabel, 100);
    PackWriter writer(set);
    const Extent extent = writer.append(body_of_text("first"));
    writer.finish();
    writer.append(body_of_text("other"));
    writer.finish();
    memory.replace(pack_path(kStanza, kLabel, 0), memory.read(pack_path(kStanza, kLabel, 1)));
    CHECK_THROWS_MATCHES(
        read_frame(memory, set.finished(), extent), Error, HasCode(ErrorCode::crypto));

    memory.storage->remove(pack_path(kStanza, kLabel, 0));
    CHECK_THROWS_MATCHES(
        read_frame(memory, set.finished(), extent), Error, HasCode(ErrorCode::file_missing));
}

TEST_CASE("parts of frames are read from many packs in any order", "[repository][pack]")
{
    const MemoryRepository memory;
    PackSet set(*memory.repository, kStanza, kLabel, 1);
    PackWriter writer(set);
    std::vector<Extent> extents;
    for (int i = 0; i < 30; ++i) {
        extents.push_back(writer.append(body_of_text(fmt::format("frame {:02} of the pack", i))));
        writer.finish();
        extents.back().position = 6;
        extents.back().size = 2;
    }
    const auto packs = set.finished();
    REQUIRE(packs.size() == 30);
    PackReader reader(*memory.repository, kStanza, packs);
    for (std::size_t i = 0; i < 90; ++i) {
        const std::size_t at = i * 7 % 30;
        CHECK(as_text(reader.read(extents[at])) == fmt::format("{:02}", at));
    }
}

TEST_CASE("an extent larger than its frame is refused", "[repository][pack][bug-54]")
{
    const MemoryRepository memory;
    PackSet set(*memory.repository, kStanza, kLabel, 1000);
    PackWriter writer(set);
    Extent extent = writer.append(body_of_text("four"));
    writer.finish();
    extent.position = GENERATE(1U, 4U, 5U, 0xFFFFFFFFU);
    CHECK_THROWS_MATCHES(
        read_frame(memory, set.finished(), extent), Error, HasCode(ErrorCode::format));
    // The end frame is no frame of data.
    const auto packs = set.finished();
    const Extent end{0, packs[0].size - 40, 40, 0, 1};
    CHECK_THROWS_MATCHES(read_frame(memory, packs, end), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("a pack that has been open for long is full, however small", "[repository][pack][.slow]")
{
    const MemoryRepository memory;
    PackSet set(*memory.repository, kStanza, kLabel, 1U << 30U);
    PackWriter writer(set);
    writer.append(body_of_text("text"));
    CHECK_FALSE(writer.is_full());
    sleep_milliseconds(2100);
    CHECK(writer.is_full());
    writer.finish();
    writer.append(body_of_text("text"));
    CHECK_FALSE(writer.is_full());
}

TEST_CASE("packs of an earlier try are taken over, and names it has used are not used again",
          "[repository][pack][bug-1]")
{
    const MemoryRepository memory;
    memory.replace(pack_path(kStanza, kLabel, 6), as_bytes("left by a crash"));
    memory.replace(pack_path(kStanza, kLabel) + "/4294967295", as_bytes("no pack of ours"));
    PackSet set(*memory.repository, kStanza, kLabel, 1000);
    set.take_over({{{kLabel, 1}, 100}, {{kLabel, 3}, 300}});
    PackWriter writer(set);
    writer.append(body_of_text("new"));
    CHECK(writer.finish() == 7U);

    const auto packs = set.finished();
    REQUIRE(packs.size() == 3);
    CHECK(packs[0].name == PackName{kLabel, 1});
    CHECK(packs[1].name == PackName{kLabel, 3});
    CHECK(packs[1].size == 300);
    CHECK(packs[2].name == PackName{kLabel, 7});
}

TEST_CASE("a pack is found in a sorted table by its whole name", "[repository][pack]")
{
    const std::string other = std::string(kLabel) + "_20261121-030000I";
    const std::vector<PackInfo> packs = {{{kLabel, 0}, 1}, {{kLabel, 2}, 1}, {{other, 0}, 1}};
    CHECK(find_pack(packs, {kLabel, 0}) == 0U);
    CHECK(find_pack(packs, {kLabel, 2}) == 1U);
    CHECK(find_pack(packs, {other, 0}) == 2U);
    CHECK_FALSE(find_pack(packs, {kLabel, 1}));
    CHECK_FALSE(find_pack(packs, {kLabel, 3}));
    CHECK_FALSE(find_pack(packs, {other, 1}));
    CHECK_FALSE(find_pack({}, {other, 1}));
}
