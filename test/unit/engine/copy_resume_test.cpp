// SPDX-License-Identifier: PostgreSQL
#include "support/rounds.hpp"
#include "unit/engine/chain_fixture.hpp"

#include "pgstrata/storage/decorators.hpp"

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

struct ResumedChain : Chain {
    ResumedChain()
    {
        pack_size = 64U << 10U;
        options.compress_level = 1;
        options.journal = header();
        data.write_cluster();
        data.write("base/1/16384", large);
        data.write("pg_xact/0000", std::string(600000, 'x'));
        // They share frames, and a frame is more than a pack has to hold.
        for (int i = 0; i < 60; ++i) {
            data.write(fmt::format("base/1/{}", 20000 + i), random_pages(12));
        }
    }

    repository::JournalHeader header() const
    {
        return {taken.empty() ? repository::BackupType::full : repository::BackupType::incr,
                taken.empty() ? std::string() : label_of(taken.size() - 1),
                {15, 1},
                8192};
    }

    // Pages that do not compress, so that packs fill.
    std::string random_pages(std::size_t count)
    {
        std::string pages(count * kPageSize, '\0');
        for (std::size_t at = 0; at < pages.size(); at += sizeof seed_) {
            seed_ = seed_ * 6364136223846793005U + 1442695040888963407U;
            std::memcpy(pages.data() + at, &seed_, sizeof seed_);
        }
        return pages;
    }

    // Copies until the n-th operation on the repository fails; false when it got through.
    bool fail_at(std::uint64_t n)
    {
        storage::FaultPlan fault;
        fault.stay_broken = true;
        const auto failing = storage::make_failing_storage(*memory.storage, fault);
        const auto broken = repository::Repository::open(*failing, {});
        fault.count = 0;
        fault.fail_at = n;
        plan();
        try {
            copy_to(*broken);
            return false;
        } catch (const Error& error) {
            REQUIRE(error.code() == ErrorCode::file_write);
        }
        return true;
    }

    CopyResult take_up()
    {
        const repository::DurableWork work(*memory, kStanza, label_of(taken.size()), 1);
        const bool is_usable = work.header().has_value();
        if (is_usable) {
            REQUIRE(*work.header() == header());
        }
        options.durable = is_usable ? &work : nullptr;
        if (!is_usable) {
            remove_try();
        }
        plan();
        durable_packs = work.packs().size();
        const CopyResult result = copy();
        options.durable = nullptr;
        return result;
    }

    // What is left of a try that nothing can be used of.
    void remove_try() const
    {
        std::vector<std::string> paths;
        storage::list_recursively(*memory.storage,
                                  repository::backup_path(kStanza, label_of(taken.size())),
                                  [&](const auto& entry) { paths.push_back(entry.name); });
        for (const std::string& path : paths) {
            memory.storage->remove(path);
        }
    }

    std::string large = random_pages(100);
    std::size_t durable_packs = 0;

private:
    std::uint64_t seed_ = 1;
};

} // namespace

TEST_CASE("a copy that died anywhere is taken up and is right", "[engine][resume][bug-1][bug-14]")
{
    const bool is_incremental = GENERATE(false, true);
    std::size_t most_packs = 0;
    std::uint64_t n = 1;
    for (bool has_failed = true; has_failed; n += stride(3)) {
        const WarningLog quiet;
        ResumedChain chain;
        chain.options.workers = 1 + n % 2;
        if (is_incremental) {
            chain.options.journal.reset();
            chain.take();
            chain.options.journal = chain.header();
            chain.data.write("base/1/16384", chain.random_pages(110));
            chain.data.write("pg_xact/0000", std::string(600000, 'y'));
            for (int i = 0; i < 40; ++i) {
                chain.data.write(fmt::format("base/1/{}", 20000 + i), chain.random_pages(12));
            }
        }
        CAPTURE(n, is_incremental);
        has_failed = chain.fail_at(n);
        if (!has_failed) {
            break;
        }
        // What changes between the two tries is not taken from the first.
        chain.data.write("base/1/20004", chain.random_pages(12));
        chain.data.write("pg_xact/0000", std::string(600000, 'z'));
        chain.take_up();
        chain.check_all();
        most_packs = std::max(most_packs, chain.durable_packs);
        REQUIRE(n < 1000);
    }
    CHECK(n > 20);
    CHECK(most_packs > 1);
}

TEST_CASE("what an earlier try has stored is not stored again", "[engine][resume]")
{
    const WarningLog quiet;
    ResumedChain chain;
    // The first try gets to its end, but for the manifest.
    chain.plan();
    {
        repository::PackSet packs(*chain.memory, kStanza, kLabel, chain.pack_size);
        Progress progress(chain.backup_plan.bytes, {});
        copy_files(chain.options, chain.backup_plan, chain.manifest, packs, progress);
    }
    std::uint64_t before = 0;
    storage::list_recursively(*chain.memory.storage,
                              repository::pack_path(kStanza, kLabel),
                              [&](const auto& entry) { before += entry.size; });
    chain.take_up();
    chain.check_all();
    std::uint64_t after = 0;
    storage::list_recursively(*chain.memory.storage,
                              repository::pack_path(kStanza, kLabel),
                              [&](const auto& entry) { after += entry.size; });
    CHECK(chain.durable_packs > 5);
    CHECK(before > 5'000'000);
    // Maps and what had no journal yet.
    CHECK(after - before < before / 4);
}

TEST_CASE("a damaged pack of an earlier try is not used", "[engine][resume][bug-58]")
{
    const WarningLog quiet;
    ResumedChain chain;
    REQUIRE(chain.fail_at(40));
    const std::string pack = repository::pack_path(kStanza, kLabel, 0);
    REQUIRE(names_in(*chain.memory.storage, repository::journal_path(kStanza, kLabel)).size() > 1);
    chain.memory.flip(pack, chain.memory.read(pack).size() / 2);
    chain.take_up();
    chain.check_all();
    CHECK(chain.durable_packs > 0);
    CHECK_FALSE(repository::find_pack(chain.last().packs, {kLabel, 0}));
}
