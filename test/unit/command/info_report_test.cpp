// SPDX-License-Identifier: PostgreSQL
#include "unit/command/info_examples.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::test;
using command::InfoStatus;

TEST_CASE("the status of a stanza is that of its repositories when they agree", "[info]")
{
    const auto status = GENERATE(InfoStatus::ok,
                                 InfoStatus::missing_stanza_path,
                                 InfoStatus::no_backup,
                                 InfoStatus::missing_backup,
                                 InfoStatus::other);

    const auto stanza = make_stanza({broken_repository(1, status), broken_repository(2, status)});

    CHECK(command::stanza_status(stanza) == status);
}

TEST_CASE("a stanza whose repositories disagree is different", "[info]")
{
    const auto stanza =
        make_stanza({make_repository(1), broken_repository(2, InfoStatus::no_backup)});

    CHECK(command::stanza_status(stanza) == InfoStatus::different);
}

TEST_CASE("a stanza that is of two clusters is a database mismatch", "[info]")
{
    auto other = make_repository(2);
    other.archives.back().cluster.system_identifier += 1;

    CHECK(command::stanza_status(make_stanza({make_repository(1), other})) ==
          InfoStatus::database_mismatch);
    CHECK(command::stanza_status(make_stanza({make_repository(1), make_repository(2)})) ==
          InfoStatus::ok);
}

TEST_CASE("ciphers that differ are mixed", "[info]")
{
    auto sealed = make_repository(2);
    sealed.cipher = "aes-256-gcm";

    CHECK(command::stanza_cipher(make_stanza({make_repository()})) == "none");
    CHECK(command::stanza_cipher(make_stanza({sealed})) == "aes-256-gcm");
    CHECK(command::stanza_cipher(make_stanza({make_repository(), sealed})) == "mixed");
}

TEST_CASE("the progress of several backups is summed up", "[info]")
{
    auto first = make_repository(1);
    auto second = make_repository(2);
    first.backup_lock = {true, 1000, 500};
    second.backup_lock = {true, 3000, 100};

    const auto lock = command::stanza_backup_lock(make_stanza({first, second}));

    CHECK(lock.is_held);
    CHECK(lock.size == 4000U);
    CHECK(lock.size_done == 600U);
    CHECK_FALSE(command::stanza_backup_lock(make_stanza({make_repository()})).is_held);
}

TEST_CASE("backups of all repositories stand in the order in which they ended", "[info]")
{
    auto first = make_repository(1);
    auto second = make_repository(2);
    first.backups = {full_backup(1), incremental_backup()};
    second.backups.front().summary.stop_time += 60;

    const auto backups = command::stanza_backups(make_stanza({first, second}));

    REQUIRE(backups.size() == 3);
    CHECK(backups[0].repo_key == 1);
    CHECK(backups[1].repo_key == 2);
    CHECK(backups[2].summary.type == repository::BackupType::incr);
}
