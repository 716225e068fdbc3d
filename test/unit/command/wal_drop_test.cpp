// SPDX-License-Identifier: PostgreSQL
#include "command/archive_push.hpp"
#include "support/hooked_storage.hpp"
#include "support/matchers.hpp"
#include "support/recorded_log.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/wal_gap.hpp"

using namespace pgstrata;
using namespace pgstrata::command;
using namespace pgstrata::test;

namespace {

using Names = std::set<std::string>;

constexpr auto kFirst = "000000010000000000000001";
constexpr auto kSecond = "000000010000000000000002";
constexpr auto kThird = "000000010000000000000003";

// A repository that counts what is written into it, or fails.
struct GapTarget {
    explicit GapTarget(unsigned index)
        : storage(*memory.storage,
                  [this](StorageCall call, std::string_view) {
                      count += call == StorageCall::create ? 1U : 0U;
                      if (is_away) {
                          raise(ErrorCode::service, "away");
                      }
                  }),
          repository(repository::Repository::open(storage, {})), target{index, repository.get(), {}}
    {
        target.cluster.id = {17, 1};
    }
    Names recorded() const
    {
        return repository::gap_names(*memory.repository, "main", target.cluster.id);
    }

    MemoryRepository memory;
    std::size_t count = 0;
    bool is_away = false;
    HookedStorage storage;
    std::unique_ptr<repository::Repository> repository;
    engine::PushTarget target;
};

// Three dropped files whose records wait, and two repositories.
struct WaitingGaps {
    WaitingGaps()
    {
        config::Environment environment;
        environment.arguments = {"archive-push",
                                 "x",
                                 "--stanza=main",
                                 "--no-config",
                                 "--spool-path=" + directory.path()};
        config = config::load_config(environment);
        spool().prepare();
        for (const auto* name : {kFirst, kSecond, kThird}) {
            leave_gap(config, spool(), name);
        }
        opened.targets = {first.target, second.target};
    }
    engine::Spool spool() const { return push_spool(config); }
    void record(std::uint64_t limit = kRecordMilliseconds) const
    {
        record_gaps(
            config, spool(), [&]() -> const PushTargets& { return opened; }, limit);
    }

    WarningLog warnings;
    TemporaryDirectory directory;
    config::Config config;
    GapTarget first{1};
    GapTarget second{2};
    PushTargets opened;
};

} // namespace

TEST_CASE("records of dropped WAL leave the spool for all repositories", "[command][bug-20]")
{
    const WaitingGaps gaps;

    gaps.record();

    CHECK(gaps.first.recorded() == Names{kFirst, kSecond, kThird});
    CHECK(gaps.second.recorded() == Names{kFirst, kSecond, kThird});
    CHECK(gaps.spool().names().empty());
}

TEST_CASE("a repository gets a record once, however long another one is away", "[command][bug-20]")
{
    WaitingGaps gaps;
    SECTION("before it is opened")
    {
        gaps.opened = {.targets = {gaps.first.target}, .failures = "\nrepo2: away"};
    }
    SECTION("after that")
    {
        gaps.second.is_away = true;
    }

    gaps.record();
    CHECK(gaps.first.recorded() == Names{kFirst, kSecond, kThird});
    gaps.first.count = 0;
    gaps.record();

    CHECK(gaps.first.count == 0);
    CHECK(gaps.spool().names().size() == 3);
    CHECK_THAT(gaps.warnings.text(), Catch::Contains("repo2: "));
}

TEST_CASE("records that find no time are left for the next push, but for one", "[command][bug-20]")
{
    const WaitingGaps gaps;

    gaps.record(0);
    CHECK(gaps.second.recorded() == Names{kFirst});
    CHECK(gaps.spool().names().size() == 2);
    gaps.record(0);

    CHECK(gaps.second.recorded() == Names{kFirst, kSecond});
    CHECK(gaps.spool().names().size() == 1);
}
