// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/data_directory.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata::postgres;

namespace {

ScanRules rules_of_15()
{
    ScanRules rules;
    rules.major = 15;
    rules.catalog_version = 202209061;
    return rules;
}

} // namespace

namespace Catch {

template <>
struct StringMaker<EntryClass> {
    static std::string convert(EntryClass value)
    {
        constexpr const char* kNames[] = {"copy", "directory_only", "skip"};
        return kNames[static_cast<int>(value)];
    }
};

} // namespace Catch

TEST_CASE("a relation file tells tablespace, database, relation, fork and segment",
          "[postgres][data_directory][bug-13]")
{
    struct Case {
        std::string path;
        RelationFile file;
    };
    const auto& [path, file] = GENERATE(
        Case{"base/5/16384", {1663, 5, 16384, Fork::main, 0}},
        Case{"base/5/16384.3", {1663, 5, 16384, Fork::main, 3}},
        Case{"base/16400/2619_fsm", {1663, 16400, 2619, Fork::free_space_map, 0}},
        Case{"base/16400/2619_vm.1", {1663, 16400, 2619, Fork::visibility_map, 1}},
        Case{"base/5/16390_init", {1663, 5, 16390, Fork::init, 0}},
        Case{"global/1262", {1664, 0, 1262, Fork::main, 0}},
        Case{"pg_tblspc/16385/PG_15_202209061/5/16386.12", {16385, 5, 16386, Fork::main, 12}},
        Case{"base/1/4294967295", {1663, 1, 4294967295, Fork::main, 0}});
    CAPTURE(path);

    const auto found = parse_relation_path(path);

    REQUIRE(found.has_value());
    CHECK(found->tablespace == file.tablespace);
    CHECK(found->database == file.database);
    CHECK(found->relation == file.relation);
    CHECK(found->fork == file.fork);
    CHECK(found->segment == file.segment);
}

TEST_CASE("what only looks like a relation file is none", "[postgres][data_directory][bug-5]")
{
    const std::string path = GENERATE(as<std::string>{},
                                      "",
                                      "16384",
                                      "/base/1/16384",
                                      "base",
                                      "base/16384",
                                      "base/1/",
                                      "base//16384",
                                      "base/x/16384",
                                      "base/01/16384",
                                      "base/1/2/16384",
                                      "base/1/016384",
                                      "base/1/0",
                                      "base/1/4294967296",
                                      "base/1/16384.0",
                                      "base/1/16384.01",
                                      "base/1/16384.",
                                      "base/1/16384.1.2",
                                      "base/1/16384_",
                                      "base/1/16384_foo",
                                      "base/1/16384_fsm_vm",
                                      "base/1/16384_fsmx",
                                      "base/1/16384x",
                                      "base/1/16384 ",
                                      "base/1/16384\n",
                                      "base/1/-16384",
                                      "base/1/t3_16384",
                                      "base/1/PG_VERSION",
                                      "base/1/pg_filenode.map",
                                      "mybase/1/16384",
                                      "x/base/1/16384",
                                      "global/pg_control",
                                      "global/1/16384",
                                      "pg_xact/0000",
                                      "pg_xact/16384",
                                      "pg_wal/16384",
                                      "pg_multixact/members/0000",
                                      "pg_tblspc/16385",
                                      "pg_tblspc/16385/16386",
                                      "pg_tblspc/16385/5/16386",
                                      "pg_tblspc/base/PG_15_202209061/5/16386",
                                      "pg_tblspc/16385/PG_15/5/16386",
                                      "pg_tblspc/16385/PG_15_x/5/16386",
                                      "pg_tblspc/16385/XPG_15_202209061/5/16386");
    CAPTURE(path);

    CHECK_FALSE(parse_relation_path(path).has_value());
}

TEST_CASE("a path tells the database whose directory it is in", "[postgres][data_directory][bug-5]")
{
    CHECK(database_of_path("base/1") == 1U);
    CHECK(database_of_path("base/12699") == 12699U);
    CHECK(database_of_path("base/1/PG_VERSION") == 1U);
    CHECK(database_of_path("pg_tblspc/16385/PG_15_202209061/5/t3_1") == 5U);
    const auto* path = GENERATE("base",
                                "base/pgsql_tmp",
                                "global/1262",
                                "pg_xact/0000",
                                "pg_tblspc/16385/PG_15_202209061",
                                "pg_tblspc/5",
                                "1",
                                "");
    CAPTURE(path);
    CHECK_FALSE(database_of_path(path).has_value());
}

TEST_CASE("what a base backup takes and leaves out", "[postgres][data_directory][bug-5][bug-8]")
{
    using enum FileType;
    const auto& [path, type, expected] = GENERATE(table<std::string, FileType, EntryClass>({
        {"PG_VERSION", file, EntryClass::copy},
        {"postgresql.conf", link, EntryClass::copy},
        {"postgresql.auto.conf", file, EntryClass::copy},
        {"base", directory, EntryClass::copy},
        {"base/1/pg_filenode.map", file, EntryClass::copy},
        {"global/pg_control", file, EntryClass::copy},
        {"pg_xact/0000", file, EntryClass::copy},
        {"pg_stat", directory, EntryClass::copy},
        {"pg_logical/replorigin_checkpoint", file, EntryClass::copy},
        {"postmaster.pid", file, EntryClass::skip},
        {"postmaster.opts", file, EntryClass::skip},
        {"postmaster.pid.old", file, EntryClass::copy},
        {"sub/postmaster.pid", file, EntryClass::copy},
        {"backup_label", file, EntryClass::skip},
        {"backup_label.old", file, EntryClass::skip},
        {"tablespace_map", file, EntryClass::skip},
        {"backup_manifest", file, EntryClass::skip},
        {"recovery.signal", file, EntryClass::skip},
        {"standby.signal", file, EntryClass::skip},
        {"recovery.done", file, EntryClass::skip},
        {"postgresql.auto.conf.tmp", file, EntryClass::skip},
        {"current_logfiles", file, EntryClass::skip},
        {"pg_wal", directory, EntryClass::directory_only},
        {"pg_wal", link, EntryClass::directory_only},
        {"pg_wal/000000010000000000000001", file, EntryClass::skip},
        {"pg_walx", directory, EntryClass::copy},
        {"base/pg_wal", directory, EntryClass::copy},
        {"pg_replslot", directory, EntryClass::directory_only},
        {"pg_replslot/a slot", directory, EntryClass::skip},
        {"pg_replslot", file, EntryClass::copy},
        {"pg_dynshmem", directory, EntryClass::directory_only},
        {"pg_notify", directory, EntryClass::directory_only},
        {"pg_serial", directory, EntryClass::directory_only},
        {"pg_snapshots", directory, EntryClass::directory_only},
        {"pg_stat_tmp", directory, EntryClass::directory_only},
        {"pg_stat_tmp/global.stat", file, EntryClass::skip},
        {"pg_subtrans", directory, EntryClass::directory_only},
        {"base/pgsql_tmp", directory, EntryClass::skip},
        {"base/pgsql_tmp/pgsql_tmp99.0", file, EntryClass::skip},
        {"pgsql_tmp", directory, EntryClass::skip},
        {"not_pgsql_tmp", file, EntryClass::copy},
        {"global/pg_internal.init", file, EntryClass::skip},
        {"base/1/pg_internal.init.123", file, EntryClass::skip},
        {"base/1/my_pg_internal.init", file, EntryClass::copy},
        {"a socket", special, EntryClass::skip},
    }));
    CAPTURE(path);

    CHECK(classify_entry(path, type, rules_of_15()) == expected);
}

TEST_CASE("temporary relations are left out, names like theirs are not",
          "[postgres][data_directory][bug-5][bug-8]")
{
    const auto& [path, expected] = GENERATE(table<std::string, EntryClass>({
        {"base/5/t2_16479", EntryClass::skip},
        {"base/5/t19_16520.1", EntryClass::skip},
        {"base/5/t19_16520_fsm", EntryClass::skip},
        {"base/5/t19_16520_vm.2", EntryClass::skip},
        {"base/5/t19_16520_init", EntryClass::skip},
        {"pg_tblspc/16385/PG_15_202209061/5/t3_1", EntryClass::skip},
        {"base/5/t19", EntryClass::copy},
        {"base/5/t_16520", EntryClass::copy},
        {"base/5/t19_", EntryClass::copy},
        {"base/5/t19_16520.", EntryClass::copy},
        {"base/5/t19_16520x", EntryClass::copy},
        {"base/5/xt19_16520", EntryClass::copy},
        {"base/t19_16520", EntryClass::copy},
        {"t19_16520", EntryClass::copy},
        {"pg_xact/t19_16520", EntryClass::copy},
    }));
    CAPTURE(path);

    CHECK(classify_entry(path, FileType::file, rules_of_15()) == expected);
}

TEST_CASE("in a tablespace only this cluster's directory is taken",
          "[postgres][data_directory][bug-7]")
{
    const auto& [path, expected] = GENERATE(table<std::string, EntryClass>({
        {"pg_tblspc", EntryClass::copy},
        {"pg_tblspc/16385", EntryClass::copy},
        {"pg_tblspc/16385/PG_15_202209061", EntryClass::copy},
        {"pg_tblspc/16385/PG_15_202209061/5", EntryClass::copy},
        {"pg_tblspc/16385/PG_14_202107181", EntryClass::skip},
        {"pg_tblspc/16385/PG_14_202107181/5/16400", EntryClass::skip},
        {"pg_tblspc/16385/PG_15_202209062", EntryClass::skip},
        {"pg_tblspc/16385/PG_15_2022090611", EntryClass::skip},
        {"pg_tblspc/16385/PG_15", EntryClass::skip},
        {"pg_tblspc/16385/lost+found", EntryClass::skip},
    }));
    CAPTURE(path);

    CHECK(classify_entry(path, FileType::directory, rules_of_15()) == expected);
}

TEST_CASE("without a running server pg_wal is taken whole", "[postgres][data_directory]")
{
    ScanRules rules = rules_of_15();
    rules.online = false;

    CHECK(classify_entry("pg_wal", FileType::directory, rules) == EntryClass::copy);
    CHECK(classify_entry("pg_wal/000000010000000000000001", FileType::file, rules) ==
          EntryClass::copy);
    CHECK(classify_entry("pg_notify", FileType::directory, rules) == EntryClass::directory_only);
}

TEST_CASE("an exclude matches whole parts of a path", "[postgres][data_directory][bug-5]")
{
    ScanRules rules = rules_of_15();
    rules.exclude = {"base/1", "my log/", "a=b\n", "\xff\xfe", "junk/", "junk/deep/"};
    const auto& [path, type, expected] = GENERATE(table<std::string, FileType, EntryClass>({
        {"base/1", FileType::directory, EntryClass::skip},
        {"base/1/1259", FileType::file, EntryClass::skip},
        {"base/12699", FileType::directory, EntryClass::copy},
        {"base/12699/1259", FileType::file, EntryClass::copy},
        {"base", FileType::directory, EntryClass::copy},
        {"x/base/1", FileType::directory, EntryClass::copy},
        {"my log", FileType::directory, EntryClass::directory_only},
        {"my log", FileType::link, EntryClass::directory_only},
        {"my log", FileType::file, EntryClass::copy},
        {"my log/x", FileType::file, EntryClass::skip},
        {"my log2", FileType::directory, EntryClass::copy},
        {"my", FileType::directory, EntryClass::copy},
        {"a=b\n", FileType::file, EntryClass::skip},
        {"a=b", FileType::file, EntryClass::copy},
        {"\xff\xfe", FileType::file, EntryClass::skip},
        {"junk/deep", FileType::directory, EntryClass::skip},
    }));
    CAPTURE(path);

    CHECK(classify_entry(path, type, rules) == expected);
}

TEST_CASE("an empty exclude leaves nothing out", "[postgres][data_directory]")
{
    ScanRules rules = rules_of_15();
    rules.exclude = {"", "/"};

    CHECK(classify_entry("base", FileType::directory, rules) == EntryClass::copy);
    CHECK(classify_entry("PG_VERSION", FileType::file, rules) == EntryClass::copy);
}

TEST_CASE("the log directory is kept empty", "[postgres][data_directory]")
{
    ScanRules rules = rules_of_15();
    rules.log_directory = "log";

    CHECK(classify_entry("log", FileType::directory, rules) == EntryClass::directory_only);
    CHECK(classify_entry("log/postgresql.log", FileType::file, rules) == EntryClass::skip);
    CHECK(classify_entry("logs", FileType::directory, rules) == EntryClass::copy);
    rules.log_directory = "";
    CHECK(classify_entry("log/postgresql.log", FileType::file, rules) == EntryClass::copy);
}
