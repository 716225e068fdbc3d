// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/version.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata::postgres;

TEST_CASE("the majors 13 to 18 are known, in order", "[postgres][version]")
{
    unsigned expected = 13;
    for (const VersionTraits& version : known_versions()) {
        CHECK(version.major == expected);
        ++expected;
    }
    CHECK(expected == 19);
}

TEST_CASE("the control version and the catalog version together tell the major",
          "[postgres][version]")
{
    struct Case {
        std::uint32_t control;
        std::uint32_t catalog;
        unsigned major;
    };
    const auto& [control, catalog, major] = GENERATE(Case{1300, 202007201, 13},
                                                     Case{1300, 202107181, 14},
                                                     Case{1300, 202209061, 15},
                                                     Case{1300, 202307071, 16},
                                                     Case{1700, 202406281, 17},
                                                     Case{1800, 202506291, 18});

    const VersionTraits* found = find_version(control, catalog);

    REQUIRE(found != nullptr);
    CHECK(found->major == major);
}

TEST_CASE("a pair of versions that no release has is unknown", "[postgres][version]")
{
    CHECK(find_version(1300, 202406281) == nullptr);
    CHECK(find_version(1201, 201909212) == nullptr);
    CHECK(find_version(0, 0) == nullptr);
}

TEST_CASE("the magic number of a WAL page tells the major", "[postgres][version]")
{
    REQUIRE(find_version_by_wal_magic(0xD106) != nullptr);
    CHECK(find_version_by_wal_magic(0xD106)->major == 13);
    REQUIRE(find_version_by_wal_magic(0xD118) != nullptr);
    CHECK(find_version_by_wal_magic(0xD118)->major == 18);
    CHECK(find_version_by_wal_magic(0) == nullptr);
}

TEST_CASE("only the number of a known major is read as one", "[postgres][version]")
{
    CHECK(parse_major("15") == 15U);
    const auto* text = GENERATE("", "9.6", "12", "19", "015", "15.2", " 15", "15 ", "-15", "x");
    CAPTURE(text);
    CHECK_FALSE(parse_major(text).has_value());
}

TEST_CASE("the backup functions and summaries appear with their majors", "[postgres][version]")
{
    CHECK_FALSE(find_version(14)->has_backup_start_stop);
    CHECK(find_version(15)->has_backup_start_stop);
    CHECK_FALSE(find_version(16)->has_wal_summaries);
    CHECK(find_version(17)->has_wal_summaries);
    CHECK(find_version(99) == nullptr);
}
