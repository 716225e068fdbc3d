// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/engine/backup_source.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HasCode;

namespace {

ServerState primary(unsigned index)
{
    return {index, false, {100}};
}

ServerState standby(unsigned index, std::uint64_t replayed = 90)
{
    return {index, true, {replayed}};
}

} // namespace

TEST_CASE("the primary is backed up unless a standby is asked for", "[engine][source]")
{
    const auto choice = choose_source({standby(1), primary(2)}, StandbyUse::never);
    CHECK(choice.source == 2);
    CHECK(choice.primary == 2U);
    CHECK_FALSE(choice.is_standby);
}

TEST_CASE("a standby is backed up where one is wanted and there", "[engine][source]")
{
    const auto use = GENERATE(StandbyUse::preferred, StandbyUse::required);
    const auto choice = choose_source({primary(1), standby(2)}, use);
    CHECK(choice.source == 2);
    CHECK(choice.primary == 1U);
    CHECK(choice.is_standby);

    const auto alone = choose_source({standby(3)}, use);
    CHECK(alone.source == 3);
    CHECK(alone.is_standby);
    CHECK_FALSE(alone.primary);
}

TEST_CASE("of several standbys the one that has replayed most is backed up", "[engine][source]")
{
    CHECK(choose_source({standby(1, 50), standby(2, 80), standby(3, 70)}, StandbyUse::required)
              .source == 2);
}

TEST_CASE("without a standby the primary serves only who merely prefers one", "[engine][source]")
{
    const auto choice = choose_source({primary(1)}, StandbyUse::preferred);
    CHECK(choice.source == 1);
    CHECK_FALSE(choice.is_standby);
    CHECK_THROWS_MATCHES(
        choose_source({primary(1)}, StandbyUse::required), Error, HasCode(ErrorCode::db_connect));
}

TEST_CASE("without a primary, or with two, nothing is backed up that was not asked for",
          "[engine][source][bug-16]")
{
    CHECK_THROWS_MATCHES(
        choose_source({standby(1)}, StandbyUse::never), Error, HasCode(ErrorCode::db_connect));
    const auto use = GENERATE(StandbyUse::never, StandbyUse::preferred, StandbyUse::required);
    CHECK_THROWS_MATCHES(choose_source({primary(1), primary(2), standby(3)}, use),
                         Error,
                         HasCode(ErrorCode::db_connect));
    CHECK_THROWS_MATCHES(choose_source({}, use), Error, HasCode(ErrorCode::db_connect));
}
