// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/path.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace std::string_literals;

namespace {

const std::string kDigest = "0123456789abcdef0123456789abcdef01234567";

} // namespace

TEST_CASE("a stanza's name is one that can be a directory", "[repository][layout][bug-52]")
{
    const auto [name, valid] = GENERATE(table<std::string, bool>({
        {"demo", true},
        {"Demo_1.x-y", true},
        {"1", true},
        {std::string(128, 'a'), true},
        {std::string(129, 'a'), false},
        {"", false},
        {".", false},
        {"..", false},
        {".hidden", false},
        {"-option", false},
        {"a/b", false},
        {"../b", false},
        {"a b", false},
        {"a\0b"s, false},
        {"a\n", false},
        {"\xc3\xa4", false},
        {"a*", false},
    }));
    CAPTURE(name);
    CHECK(is_valid_stanza_name(name) == valid);
}

TEST_CASE("what a check writes has a name of its own", "[repository][layout][check]")
{
    const std::string path = probe_path("main", "0123456789abcdef");

    CHECK(path == "archive/main/check-0123456789abcdef");
    CHECK_FALSE(parse_archive_id(file_name(path)));
    CHECK(is_probe_name(file_name(path)));
    CHECK_FALSE(is_probe_name("check-"));
    CHECK_FALSE(is_probe_name("check-list.txt"));
}

TEST_CASE("archive ids go both ways", "[repository][layout]")
{
    const auto [text, id] = GENERATE(table<std::string, ArchiveId>({
        {"15-1", {15, 1}},
        {"9-12", {9, 12}},
        {"18-4294967295", {18, 4294967295}},
    }));
    CHECK(to_string(id) == text);
    CHECK(parse_archive_id(text) == id);
}

TEST_CASE("what is no archive id is refused", "[repository][layout]")
{
    const std::string text = GENERATE("",
                                      "-",
                                      "15",
                                      "15-",
                                      "-1",
                                      "15-0",
                                      "0-1",
                                      "15-01",
                                      "015-1",
                                      "15-1 ",
                                      " 15-1",
                                      "15-1-1",
                                      "15--1",
                                      "+15-1",
                                      "15-0x1",
                                      "15-4294967296",
                                      "../15-1");
    CAPTURE(text);
    CHECK_FALSE(parse_archive_id(text));
}

TEST_CASE("backup labels go both ways", "[repository][layout][bug-15]")
{
    const auto [text, type, full, time] =
        GENERATE(table<std::string, BackupType, std::string, UnixSeconds>({
            {"20261121-020000F", BackupType::full, "20261121-020000F", 1795226400},
            {"20261121-020000F_20261121-030000D", BackupType::diff, "20261121-020000F", 1795230000},
            {"20261121-020000F_20261121-030000I", BackupType::incr, "20261121-020000F", 1795230000},
        }));
    const auto label = parse_backup_label(text);
    REQUIRE(label);
    CHECK(label->type == type);
    CHECK(label->full == full);
    CHECK(label->time == time);
    CHECK(make_backup_label(type, full, time) == text);
}

TEST_CASE("what is no backup label is refused", "[repository][layout][bug-52]")
{
    const std::string text = GENERATE("",
                                      "20261121-020000",
                                      "20261121-020000D",
                                      "20261121-020000I",
                                      "20261121-020000f",
                                      "20261121-020000F/",
                                      "20261121-020000F_",
                                      "20261121-020000F_20261121-030000F",
                                      "20261121-020000F_20261121-030000X",
                                      "20261121-020000F 20261121-030000I",
                                      "20261121-020000D_20261121-030000I",
                                      "20261121-020000F_20261121-030000I_20261121-040000I",
                                      "20261131-020000F",
                                      "20261121-250000F",
                                      "20261121-020000F_20261131-030000I",
                                      "../../../x-020000F",
                                      "latest",
                                      ".pgstrata.tmp");
    CAPTURE(text);
    CHECK_FALSE(parse_backup_label(text));
}

TEST_CASE("labels sort by time", "[repository][layout][bug-15]")
{
    const std::string full = make_backup_label(BackupType::full, {}, 1795226400);
    const std::string diff = make_backup_label(BackupType::diff, full, 1795226401);
    const std::string next = make_backup_label(BackupType::full, {}, 1795226402);
    CHECK(full < diff);
    CHECK(diff < next);
}

TEST_CASE("names of WAL objects go both ways", "[repository][layout]")
{
    const auto [wal_name, compressed] = GENERATE(table<std::string, bool>({
        {"000000010000000000000002", true},
        {"000000010000000000000002", false},
        {"0000000A00000001000000FF.partial", true},
        {"0000000A.history", false},
        {"000000010000000000000002.00000028.backup", false},
    }));
    const std::string text = wal_name + "-" + kDigest + (compressed ? ".zst" : "");
    const auto name = parse_wal_object_name(text);
    REQUIRE(name);
    CHECK(name->wal_name == wal_name);
    CHECK(name->digest == kDigest);
    CHECK(name->is_compressed == compressed);
    CHECK(to_string(*name) == text);
}

TEST_CASE("what is no name of a WAL object is refused", "[repository][layout][bug-52]")
{
    const std::string wal = "000000010000000000000002";
    const std::string text = GENERATE_COPY(""s,
                                           wal,
                                           kDigest,
                                           "-" + kDigest,
                                           wal + "-",
                                           wal + kDigest,
                                           wal + "_" + kDigest,
                                           wal + "-" + kDigest.substr(1),
                                           wal + "-0" + kDigest,
                                           wal + "-" + kDigest + ".gz",
                                           wal + "-" + kDigest + ".zst.zst",
                                           wal + "-" + kDigest + ".pgstrata.tmp",
                                           wal + "-g" + kDigest.substr(1),
                                           wal + "-A" + kDigest.substr(1),
                                           "00000001000000000000000a-" + kDigest,
                                           wal.substr(1) + "-" + kDigest,
                                           "../" + wal + "-" + kDigest,
                                           "cluster.json"s);
    CAPTURE(text);
    CHECK_FALSE(parse_wal_object_name(text));
}

TEST_CASE("every object has one place", "[repository][layout]")
{
    const std::string label = "20261121-020000F";
    CHECK(key_path("0123456789abcdef") == "keys/0123456789abcdef.json");
    CHECK(copy_path("keys/0123456789abcdef.json") == "copy/keys/0123456789abcdef.json");
    CHECK(is_copy_path("copy/pgstrata.json"));
    CHECK_FALSE(is_copy_path("copyx/pgstrata.json"));
    CHECK_FALSE(is_copy_path("pgstrata.json"));
    CHECK(archive_path("demo") == "archive/demo");
    CHECK(archive_path("demo", {15, 1}) == "archive/demo/15-1");
    CHECK(cluster_path("demo", {15, 1}) == "archive/demo/15-1/cluster.json");
    CHECK(wal_directory("demo", {15, 1}, "000000010000000A00000002") ==
          "archive/demo/15-1/000000010000000A");
    CHECK(wal_directory("demo", {15, 1}, "000000010000000A00000002.00000028.backup") ==
          "archive/demo/15-1/000000010000000A");
    CHECK(wal_directory("demo", {15, 1}, "0000000A.history") == "archive/demo/15-1");
    CHECK(backup_path("demo") == "backup/demo");
    CHECK(backup_path("demo", label) == "backup/demo/20261121-020000F");
    CHECK(pack_path("demo", label, 0) == "backup/demo/20261121-020000F/pack/000000");
    CHECK(pack_path("demo", label, 1234567) == "backup/demo/20261121-020000F/pack/1234567");
    CHECK(manifest_path("demo", label) == "backup/demo/20261121-020000F/manifest");
    CHECK(lease_path("demo", label) == "backup/demo/20261121-020000F/lease");
    CHECK(lease_path("demo", label, 0) == "backup/demo/20261121-020000F/lease");
    CHECK(lease_path("demo", label, 12) == "backup/demo/20261121-020000F/lease.12");
    CHECK(journal_path("demo", label) == "backup/demo/20261121-020000F/journal");
    CHECK(journal_path("demo", label, 7) == "backup/demo/20261121-020000F/journal/000007");
    CHECK(journal_path("demo", label, 1234567) == "backup/demo/20261121-020000F/journal/1234567");
    CHECK(summary_path("demo", label) == "backup/demo/20261121-020000F/backup.json");
    CHECK(notes_path("demo", label) == "backup/demo/20261121-020000F/notes");
}

TEST_CASE("names of leases tell their turn", "[repository][layout][bug-46][bug-52]")
{
    const auto [name, turn] = GENERATE(table<std::string, std::optional<unsigned>>({
        {"lease", 0U},
        {"lease.1", 1U},
        {"lease.10", 10U},
        {"lease.999999", 999999U},
        {"lease.1000000", std::nullopt},
        {"lease.4294967296", std::nullopt},
        {"lease.", std::nullopt},
        {"lease.0", std::nullopt},
        {"lease.01", std::nullopt},
        {"lease.-1", std::nullopt},
        {"lease.+1", std::nullopt},
        {"lease.1 ", std::nullopt},
        {"lease.1.1", std::nullopt},
        {"lease.x", std::nullopt},
        {"lease1", std::nullopt},
        {"lease/1", std::nullopt},
        {"Lease", std::nullopt},
        {"leas", std::nullopt},
        {"", std::nullopt},
    }));
    CAPTURE(name);
    CHECK(parse_lease_name(name) == turn);
}

TEST_CASE("names of packs and journals tell their number", "[repository][layout][bug-52]")
{
    const auto [name, number] = GENERATE(table<std::string, std::optional<std::uint32_t>>({
        {"000000", 0U},
        {"000123", 123U},
        {"999999", 999999U},
        {"1000000", 1000000U},
        {"1073741823", 1073741823U},
        {"1073741824", std::nullopt},
        {"4294967295", std::nullopt},
        {"4294967296", std::nullopt},
        {"99999999999999999999999", std::nullopt},
        {"0000001", std::nullopt},
        {"00001", std::nullopt},
        {"12345", std::nullopt},
        {"", std::nullopt},
        {"-00001", std::nullopt},
        {"+00001", std::nullopt},
        {" 00001", std::nullopt},
        {"00000a", std::nullopt},
        {"000001.pgstrata.tmp", std::nullopt},
        {"../../x", std::nullopt},
    }));
    CAPTURE(name);
    CHECK(parse_pack_number(name) == number);
    if (number) {
        CHECK(pack_path("demo", "l", *number) == "backup/demo/l/pack/" + name);
    }
}

TEST_CASE("records of dropped WAL have the file's name", "[repository][layout]")
{
    CHECK(gap_path("demo", {15, 1}, "000000010000000000000003") ==
          "archive/demo/15-1/gap/000000010000000000000003.json");
    CHECK(parse_gap_name("000000010000000000000003.json") == "000000010000000000000003");
    const std::string other = GENERATE(as<std::string>(),
                                       "000000010000000000000003",
                                       ".json",
                                       "00000001000000000000000g.json",
                                       "../000000010000000000000003.json",
                                       "000000010000000000000003.json.json");
    CHECK_FALSE(parse_gap_name(other));
}
