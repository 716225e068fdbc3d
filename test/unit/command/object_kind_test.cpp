// SPDX-License-Identifier: PostgreSQL
#include "command/object_kind.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace pgstrata;
using codec::ObjectKind;

namespace {

const std::string kDigest = "-0123456789abcdef0123456789abcdef01234567";
const std::string kWalSegment = "000000010000000000000002";
const std::string kArchive = "archive/main/15-1/";
const std::string kWal = kArchive + "0000000100000000/";
const std::string kBackup = "backup/main/20261121-020000F/";

} // namespace

TEST_CASE("the kind of an object is told by its path", "[repo-get]")
{
    const auto& [path, kind] = GENERATE(table<std::string, ObjectKind>(
        {{kArchive + "cluster.json", ObjectKind::document},
         {kArchive + "gap/" + kWalSegment + ".json", ObjectKind::document},
         {kWal + kWalSegment + kDigest + ".zst", ObjectKind::wal},
         {kWal + kWalSegment + kDigest, ObjectKind::wal},
         {kWal + kWalSegment + ".partial" + kDigest, ObjectKind::wal},
         {kWal + kWalSegment + ".00000028.backup" + kDigest, ObjectKind::archive_file},
         {kArchive + "00000002.history" + kDigest, ObjectKind::archive_file},
         {kBackup + "manifest", ObjectKind::manifest},
         {kBackup + "pack/000003", ObjectKind::pack},
         {kBackup + "backup.json", ObjectKind::document},
         {kBackup + "lease", ObjectKind::document},
         {kBackup + "notes/0001.json", ObjectKind::document}}));
    CAPTURE(path);

    CHECK(command::object_kind(path) == kind);
}

TEST_CASE("what is never sealed has no kind", "[repo-get]")
{
    const std::string path = GENERATE(as<std::string>{},
                                      "pgstrata.json",
                                      "keys/0123456789abcdef.json",
                                      "copy/pgstrata.json",
                                      "copy/keys/0123456789abcdef.json",
                                      "",
                                      "archive/main/15-1",
                                      "archive/main/archive.info",
                                      "archive/main/x/cluster.json",
                                      kArchive + "other.json",
                                      kArchive + kWalSegment + kDigest,
                                      "archive/main/15-1/0000000200000000/" + kWalSegment + kDigest,
                                      "backup/main/latest/manifest",
                                      kBackup + "other",
                                      "other/main/20261121-020000F/manifest");
    CAPTURE(path);

    CHECK_FALSE(command::object_kind(path).has_value());
}
