// SPDX-License-Identifier: PostgreSQL
#include "support/data_directory_comparison.hpp"
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace pgstrata::test;

TEST_CASE("an offline backup of a running server is refused", "[backup][offline]")
{
    Site site;

    CHECK(site.run({"backup", "--type=full", "--no-online"}).status == 38);
    CHECK(site.labels().empty());
}

TEST_CASE("an offline backup comes back the same page by page and starts by itself",
          "[backup][offline]")
{
    const auto major = GENERATE(from_range(test_majors()));
    CAPTURE(major);
    Site site({.cluster = {.major = major}});
    site.cluster().load_pgbench(1);
    site.cluster().sql("CREATE TABLE empty (a int); CREATE TABLE gone (a int); DROP TABLE gone");
    site.cluster().stop();
    site.backup({"--type=full", "--no-online"});

    auto restored = site.restore({"--type=none"});

    CHECK(compare_data_directories(site.cluster().data_directory(), restored.data_directory()) ==
          std::vector<std::string>{});
    restored.start();
    CHECK(restored.sql("SELECT count(*) FROM pgbench_accounts") == "100000");
}
