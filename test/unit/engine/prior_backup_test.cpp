// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/chain_fixture.hpp"

#include "pgstrata/engine/prior_backup.hpp"

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using repository::BackupSummary;
using repository::BackupType;

namespace {

constexpr repository::ArchiveId kHere{15, 2};
constexpr auto kPriorFull = "20261101-000000F";
constexpr auto kPriorDiff = "20261101-000000F_20261102-000000D";
constexpr auto kPriorIncr = "20261101-000000F_20261103-000000I";

BackupSummary make_summary(const std::string& label, std::vector<std::string> references = {})
{
    BackupSummary summary;
    summary.label = label;
    summary.type = repository::parse_backup_label(label)->type;
    summary.references = std::move(references);
    summary.archive_id = kHere;
    return summary;
}

std::vector<BackupSummary> make_chain()
{
    return {make_summary(kPriorFull),
            make_summary(kPriorDiff, {kPriorFull}),
            make_summary(kPriorIncr, {kPriorFull, kPriorDiff})};
}

} // namespace

TEST_CASE("a diff builds on the last full, an incr on the last of any type", "[engine][prior]")
{
    const auto [wanted, label] = GENERATE(table<BackupType, std::string>({
        {BackupType::diff, kPriorFull},
        {BackupType::incr, kPriorIncr},
    }));
    const auto backups = make_chain();
    const PriorChoice choice = choose_prior(backups, wanted, kHere);
    REQUIRE(choice.prior != nullptr);
    CHECK(choice.prior->label == label);
    CHECK(choice.type == wanted);
    CHECK(choice.reason.empty());
}

TEST_CASE("a full builds on nothing", "[engine][prior]")
{
    const PriorChoice choice = choose_prior(make_chain(), BackupType::full, kHere);
    CHECK(choice.prior == nullptr);
    CHECK(choice.type == BackupType::full);
    CHECK(choice.reason.empty());
}

TEST_CASE("without a prior backup of this cluster a full is taken, and why is said",
          "[engine][prior][bug-19]")
{
    const auto wanted = GENERATE(BackupType::diff, BackupType::incr);
    auto backups = make_chain();
    SECTION("none at all")
    {
        backups.clear();
    }
    SECTION("of another generation")
    {
        for (auto& backup : backups) {
            backup.archive_id = {15, 1};
        }
    }
    SECTION("of another version")
    {
        for (auto& backup : backups) {
            backup.archive_id = {14, 2};
        }
    }
    const PriorChoice choice = choose_prior(backups, wanted, kHere);
    CHECK(choice.prior == nullptr);
    CHECK(choice.type == BackupType::full);
    CHECK(choice.reason == "no prior backup exists");
}

TEST_CASE("backups of another generation are passed over", "[engine][prior][bug-29]")
{
    auto backups = make_chain();
    backups.back().archive_id = {15, 1};
    CHECK(choose_prior(backups, BackupType::incr, kHere).prior == &backups[1]);
}

TEST_CASE("a backup that lacks what it refers to is not built on", "[engine][prior][bug-3]")
{
    auto backups = make_chain();
    backups.erase(backups.begin() + 1);
    const PriorChoice choice = choose_prior(backups, BackupType::incr, kHere);
    CHECK(choice.prior == nullptr);
    CHECK(choice.type == BackupType::full);
    CHECK_THAT(choice.reason, Catch::Contains(kPriorIncr) && Catch::Contains(kPriorDiff));
    CHECK(choose_prior(backups, BackupType::diff, kHere).prior == &backups[0]);
}

TEST_CASE("what a prior backup lacks in the repository is found", "[engine][prior][bug-3][bug-47]")
{
    Chain chain;
    chain.data.write_cluster();
    chain.take();
    chain.data.write("base/1/1259", make_pages(1, 3));
    chain.take();
    const std::string label = chain.last().header.label;
    const auto fault = [&] { return find_fault(*chain.memory, kStanza, label); };
    REQUIRE(fault().empty());
    const std::string pack = repository::pack_path(kStanza, kLabel, 0);
    SECTION("a pack of an earlier backup")
    {
        chain.memory.storage->remove(pack);
        CHECK_THAT(fault(), Catch::Contains("missing"));
    }
    SECTION("the end of a pack")
    {
        const Buffer bytes = chain.memory.read(pack);
        chain.memory.replace(pack, bytes.view().first(bytes.size() - 1));
        CHECK_THAT(fault(), Catch::Contains("damaged"));
    }
    SECTION("the end of the manifest")
    {
        const std::string path = repository::manifest_path(kStanza, label);
        const Buffer bytes = chain.memory.read(path);
        chain.memory.replace(path, bytes.view().first(bytes.size() - 1));
        CHECK_THAT(fault(), Catch::Contains("cannot be built on"));
    }
}
