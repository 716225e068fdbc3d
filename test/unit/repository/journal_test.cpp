// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/journal_sample.hpp"

#include "pgstrata/util/parallel.hpp"

#include <algorithm>
#include <atomic>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

bool is_equal(const std::optional<StoredFile>& left, const StoredFile& right)
{
    return left && left->size == right.size && left->digest == right.digest &&
           left->extents == right.extents;
}

std::vector<std::uint32_t> numbers_of(const DurableWork& work)
{
    std::vector<std::uint32_t> numbers;
    for (const PackInfo& pack : work.packs()) {
        numbers.push_back(pack.name.number);
    }
    return numbers;
}

bool has(const DurableWork& work, const std::string& path, const StoredFile& file)
{
    return is_equal(work.find_file(path, file.size, file.digest), file);
}

} // namespace

TEST_CASE("finished work is found again", "[repository][journal][bug-1]")
{
    const Try first(GENERATE(CipherSetting(), gcm_setting()));
    JournalWriter journal(sample_journal_header());
    PackWriter writer(first.set);
    const StoredFile file = stored_file(writer, "some bytes");
    const PageMap pages = stored_pages(writer, {3, 7}, 20);
    journal.add_file("base/1/1", file);
    journal.add_pages("base/1/2", pages);
    first.finish(writer, journal);

    const DurableWork work(*first.memory.repository, kStanza, kLabel, 2);

    CHECK(work.label() == kLabel);
    CHECK(work.header() == sample_journal_header());
    REQUIRE(numbers_of(work) == std::vector<std::uint32_t>{0});
    CHECK(work.packs()[0].size == first.memory.read(pack_path(kStanza, kLabel, 0)).size());
    CHECK(has(work, "base/1/1", file));
    const std::vector<PageMap> found = work.find_pages("base/1/2");
    REQUIRE(found.size() == 1);
    CHECK(found[0].numbers == pages.numbers);
    CHECK(found[0].hashes == pages.hashes);
    CHECK(found[0].extents == pages.extents);
    CHECK(found[0].file_pages == pages.file_pages);
    PackReader reader(*first.memory.repository, kStanza, work.packs());
    CHECK(as_text(reader.read(file.extents[0])) == "some bytes");
}

TEST_CASE("only a file of the same path, size, digest and way of storing is the same",
          "[repository][journal][bug-1]")
{
    const Try first;
    JournalWriter journal(sample_journal_header());
    PackWriter writer(first.set);
    const StoredFile file = stored_file(writer, "some bytes");
    journal.add_file("base/1/1", file);
    journal.add_pages("base/1/2", stored_pages(writer, {0}, 1));
    first.finish(writer, journal);
    const DurableWork work(*first.memory.repository, kStanza, kLabel, 1);

    CHECK_FALSE(work.find_file("base/1/10", file.size, file.digest));
    CHECK_FALSE(work.find_file("base/1/1", file.size + 1, file.digest));
    codec::Digest128 other = file.digest;
    other[15] ^= std::byte{1};
    CHECK_FALSE(work.find_file("base/1/1", file.size, other));
    CHECK_FALSE(work.find_file("base/1/2", file.size, file.digest));
    CHECK(work.find_pages("base/1/1").empty());
    CHECK(work.find_pages("").empty());
}

TEST_CASE("where nothing was finished nothing is found", "[repository][journal]")
{
    const Try first;
    const DurableWork work(*first.memory.repository, kStanza, kLabel, 1);
    CHECK_FALSE(work.header());
    CHECK(work.packs().empty());
    CHECK_FALSE(work.find_file("base/1/1", 0, {}));
}

TEST_CASE("pieces of a file in several packs are found in all of them", "[repository][journal]")
{
    const Try first;
    const auto journal = std::make_unique<JournalWriter>(sample_journal_header());
    PackWriter writer(first.set);
    for (std::uint32_t i = 0; i < 40; ++i) {
        journal->add_pages("base/1/2", stored_pages(writer, {i}, 100));
        first.finish(writer, *journal);
    }
    const DurableWork work(*first.memory.repository, kStanza, kLabel, 4);
    std::vector<std::uint32_t> numbers;
    for (const PageMap& piece : work.find_pages("base/1/2")) {
        numbers.push_back(piece.numbers.at(0));
    }
    std::ranges::sort(numbers);
    REQUIRE(numbers.size() == 40);
    CHECK(numbers.front() == 0);
    CHECK(numbers.back() == 39);
}

TEST_CASE("many threads look up at once", "[repository][journal]")
{
    const Try first;
    JournalWriter journal(sample_journal_header());
    PackWriter writer(first.set);
    std::vector<StoredFile> files;
    for (int i = 0; i < 200; ++i) {
        files.push_back(stored_file(writer, fmt::format("contents {}", i)));
        journal.add_file(fmt::format("file {}", i), files.back());
        if (i % 7 == 6) {
            first.finish(writer, journal);
        }
    }
    first.finish(writer, journal);
    const DurableWork work(*first.memory.repository, kStanza, kLabel, 4);
    std::atomic<int> found = 0;
    run_workers(4, [&](std::size_t worker, const std::stop_token&) {
        for (std::size_t i = worker; i < files.size(); ++i) {
            found += has(work, fmt::format("file {}", i), files[i]) ? 1 : 0;
        }
    });
    CHECK(found == 200 + 199 + 198 + 197);
}

TEST_CASE("only few journals are open at a time", "[repository][journal]")
{
    const Try first;
    JournalWriter journal(sample_journal_header());
    PackWriter writer(first.set);
    std::vector<StoredFile> files;
    for (int i = 0; i < 60; ++i) {
        files.push_back(stored_file(writer, std::to_string(i)));
        journal.add_file(std::to_string(i), files.back());
        first.finish(writer, journal);
    }
    CountingStorage counting(*first.memory.storage);
    const auto repository = Repository::open(counting, {});
    const DurableWork work(*repository, kStanza, kLabel, 2);
    for (std::size_t i = 0; i < files.size(); ++i) {
        CHECK(has(work, std::to_string(i), files[i]));
    }
    CHECK(counting.most_open() <= 20);
    const int reads = counting.reads();
    CHECK(has(work, "59", files[59]));
    CHECK(counting.reads() == reads); // the frame is still at hand
}

TEST_CASE("a file over several packs needs all of them", "[repository][journal][bug-1]")
{
    const Try first;
    JournalWriter journal(sample_journal_header());
    PackWriter writer(first.set);
    StoredFile file = stored_file(writer, "first half, ");
    const StoredFile alone = file;
    journal.add_file("alone", alone);
    first.finish(writer, journal);
    const StoredFile half = stored_file(writer, "second half");
    file.size += half.size;
    file.extents.push_back(half.extents[0]);
    journal.add_file("both", file);
    first.finish(writer, journal);

    const auto [damaged, has_alone] =
        GENERATE(table<int, bool>({{-1, true}, {0, false}, {1, true}}));
    if (damaged >= 0) {
        first.memory.flip(pack_path(kStanza, kLabel, static_cast<std::uint32_t>(damaged)), 100);
    }
    const DurableWork work(*first.memory.repository, kStanza, kLabel, 2);
    CAPTURE(damaged);
    CHECK(has(work, "both", file) == (damaged < 0));
    CHECK(has(work, "alone", alone) == has_alone);
}

TEST_CASE("a pack counts only when it is whole and has a journal",
          "[repository][journal][bug-1][bug-45]")
{
    const Try first(GENERATE(CipherSetting(), gcm_setting()));
    JournalWriter journal(sample_journal_header());
    PackWriter writer(first.set);
    std::vector<StoredFile> files;
    for (int i = 0; i < 3; ++i) {
        files.push_back(stored_file(writer, std::string(100, static_cast<char>('a' + i))));
        journal.add_file(std::to_string(i), files.back());
        first.finish(writer, journal);
    }
    const MemoryRepository& memory = first.memory;
    const std::string pack = pack_path(kStanza, kLabel, 1);
    const std::string record = journal_path(kStanza, kLabel, 1);
    SECTION("the pack is damaged")
    {
        memory.flip(pack, GENERATE(0U, 20U, 70U, 110U));
    }
    SECTION("the pack lost its end")
    {
        const Buffer bytes = memory.read(pack);
        memory.replace(pack, bytes.view().first(bytes.size() - GENERATE(1U, 40U, 90U)));
    }
    SECTION("the pack is missing")
    {
        memory.storage->remove(pack);
    }
    SECTION("the journal is damaged")
    {
        memory.flip(record, GENERATE(0U, 20U, 70U, 110U));
    }
    SECTION("the journal lost its end")
    {
        const Buffer bytes = memory.read(record);
        memory.replace(record, bytes.view().first(bytes.size() - GENERATE(1U, 40U, 90U)));
    }
    SECTION("the journal is missing")
    {
        memory.storage->remove(record);
    }
    const DurableWork work(*memory.repository, kStanza, kLabel, 2);
    CHECK(numbers_of(work) == std::vector<std::uint32_t>{0, 2});
    CHECK(has(work, "0", files[0]));
    CHECK_FALSE(has(work, "1", files[1]));
    CHECK(has(work, "2", files[2]));
}

TEST_CASE("journals of different backups do not go together", "[repository][journal][bug-1]")
{
    JournalHeader other = sample_journal_header();
    SECTION("type")
    {
        other.type = BackupType::diff;
    }
    SECTION("prior")
    {
        other.prior = "20261120-020000F";
    }
    SECTION("generation")
    {
        other.archive_id.number = 3;
    }
    SECTION("page size")
    {
        other.page_size = 4096;
    }
    const Try first;
    PackWriter writer(first.set);
    JournalWriter journal(sample_journal_header());
    journal.add_file("0", stored_file(writer, "zero"));
    first.finish(writer, journal);
    JournalWriter foreign(other);
    foreign.add_file("1", stored_file(writer, "one"));
    first.finish(writer, foreign);

    const DurableWork work(*first.memory.repository, kStanza, kLabel, 1);
    CHECK(work.header() == sample_journal_header());
    CHECK(numbers_of(work) == std::vector<std::uint32_t>{0});
}

TEST_CASE("records fill frames, and one that no frame takes is left out", "[repository][journal]")
{
    const Try first;
    PackWriter writer(first.set);
    JournalWriter journal(sample_journal_header());
    StoredFile file = stored_file(writer, "x");
    // Two of these fit a frame, not three; ten times as many extents fit none.
    file.extents.assign(60000, file.extents[0]);
    file.size = 60000;
    StoredFile huge = file;
    huge.extents.assign(600000, file.extents[0]);
    huge.size = 600000;
    journal.add_file("a", file);
    journal.add_file("huge", huge);
    journal.add_file("b", file);
    journal.add_file("c", file);
    first.finish(writer, journal);

    const DurableWork work(*first.memory.repository, kStanza, kLabel, 1);
    for (const std::string path : {"a", "c", "b", "a"}) {
        CHECK(has(work, path, file));
    }
    CHECK_FALSE(has(work, "huge", huge));
}

TEST_CASE("new packs are numbered behind all that earlier tries have left",
          "[repository][journal][bug-1]")
{
    const Try first;
    PackWriter writer(first.set);
    JournalWriter journal(sample_journal_header());
    for (int i = 0; i < 3; ++i) {
        journal.add_file(std::to_string(i), stored_file(writer, "text"));
        first.finish(writer, journal);
    }
    // Pack 3 has no journal yet, of 4 only the journal is left.
    writer.append(body_of("text"));
    writer.finish();
    first.memory.replace(journal_path(kStanza, kLabel, 4), as_bytes("?"));
    first.memory.storage->remove(pack_path(kStanza, kLabel, 2));
    const DurableWork work(*first.memory.repository, kStanza, kLabel, 1);

    PackSet second(*first.memory.repository, kStanza, kLabel, 1U << 20U);
    second.take_over(work.packs());
    PackWriter next(second);
    CHECK(next.append(body_of("more")).pack == 5);
    CHECK(next.finish() == 5U);

    std::vector<std::uint32_t> numbers;
    for (const PackInfo& pack : second.finished()) {
        numbers.push_back(pack.name.number);
    }
    CHECK(numbers == std::vector<std::uint32_t>{0, 1, 5});
}

TEST_CASE("a journal that changes while work goes on loses its files only",
          "[repository][journal][bug-54]")
{
    const Try first;
    PackWriter writer(first.set);
    JournalWriter journal(sample_journal_header());
    const StoredFile file = stored_file(writer, "some bytes");
    journal.add_file("a", file);
    first.finish(writer, journal);
    const DurableWork work(*first.memory.repository, kStanza, kLabel, 1);
    const std::string path = journal_path(kStanza, kLabel, 0);
    SECTION("it is gone")
    {
        first.memory.storage->remove(path);
    }
    SECTION("another one is there, with frames of other sizes")
    {
        JournalWriter other(sample_journal_header());
        other.add_file("b", {});
        first.memory.storage->remove(path);
        other.write(*first.memory.repository, kStanza, kLabel, 0);
    }
    CHECK_FALSE(has(work, "a", file));
}

TEST_CASE("journals are removed, and what else lies beside them stays", "[repository][journal]")
{
    const Try first;
    PackWriter writer(first.set);
    JournalWriter journal(sample_journal_header());
    journal.add_file("a", stored_file(writer, "some bytes"));
    first.finish(writer, journal);
    remove_journals(*first.memory.repository, kStanza, kLabel);
    CHECK(names_in(*first.memory.storage, journal_path(kStanza, kLabel)).empty());
    CHECK(names_in(*first.memory.storage, pack_path(kStanza, kLabel)).size() == 1);
    remove_journals(*first.memory.repository, kStanza, kLabel);
}

TEST_CASE("a pack without records has no journal", "[repository][journal]")
{
    const Try first;
    PackWriter writer(first.set);
    JournalWriter journal(sample_journal_header());
    writer.append(body_of("a page map"));
    first.finish(writer, journal);
    CHECK(names_in(*first.memory.storage, journal_path(kStanza, kLabel)).empty());
}
