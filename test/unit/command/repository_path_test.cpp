// SPDX-License-Identifier: PostgreSQL
#include "command/repository_path.hpp"
#include "support/matchers.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::test;

TEST_CASE("a path in a repository may be relative or absolute", "[repo-ls]")
{
    const auto& [given, expected] =
        GENERATE(table<std::string, std::string>({{"archive/main", "archive/main"},
                                                  {"archive/main/", "archive/main"},
                                                  {"a/../b", "b"},
                                                  {".", ""},
                                                  {"/repo", ""},
                                                  {"/repo/", ""},
                                                  {"/repo/backup", "backup"}}));
    CAPTURE(given);

    CHECK(command::repository_path(given, "/repo") == expected);
}

TEST_CASE("a path that leaves the repository is refused", "[repo-ls][bug-52]")
{
    const auto* given =
        GENERATE("..", "../repository", "a/../../b", "/", "/repository", "/other/repo");
    CAPTURE(given);

    CHECK_THROWS_MATCHES(
        command::repository_path(given, "/repo"), Error, HasCode(ErrorCode::parameter_invalid));
}
