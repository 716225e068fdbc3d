// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/command/info_report.hpp"

#include <string>

// Stanzas for the tests of info's rendering.
namespace pgstrata::test {

inline repository::Cluster
make_cluster(unsigned major, unsigned number, std::uint64_t system_identifier)
{
    repository::Cluster cluster;
    cluster.id = {major, number};
    cluster.system_identifier = system_identifier;
    return cluster;
}

// 2026-11-21 02:00:00 to 02:05:30 UTC.
inline command::InfoBackup full_backup(unsigned repo_key = 1)
{
    command::InfoBackup backup;
    backup.repo_key = repo_key;
    repository::BackupSummary& summary = backup.summary;
    summary.label = "20261121-020000F";
    summary.program_version = "1.0.0";
    summary.archive_id = {15, 1};
    summary.start_time = 1795226400;
    summary.stop_time = 1795226730;
    summary.start_lsn.value = 0x2000028;
    summary.stop_lsn.value = 0x3000050;
    summary.start_wal = "000000010000000000000002";
    summary.stop_wal = "000000010000000000000003";
    summary.size = 26948404;
    summary.delta = 26949000;
    summary.read = 26949001;
    summary.change_tracking = "full";
    summary.repository_size = 3250586;
    summary.repository_delta = 3145728;
    return backup;
}

inline command::InfoBackup incremental_backup()
{
    command::InfoBackup backup = full_backup();
    backup.summary.label = "20261121-020000F_20261121-030000I";
    backup.summary.type = repository::BackupType::incr;
    backup.summary.prior = "20261121-020000F";
    backup.summary.references = {"20261121-020000F", "20261121-020000F_20261121-023000D"};
    backup.summary.stop_time += 3600;
    backup.summary.read = 2097152;
    backup.summary.delta = 81920;
    backup.summary.change_tracking = "summary";
    return backup;
}

inline command::InfoRepository make_repository(unsigned key = 1)
{
    command::InfoRepository repo;
    repo.key = key;
    repo.archives = {{make_cluster(15, 1, 7710498675978765145),
                      {"000000010000000000000001", "000000010000000000000003"}}};
    repo.backups = {full_backup(key)};
    return repo;
}

inline command::InfoRepository broken_repository(unsigned key, command::InfoStatus status)
{
    command::InfoRepository repo;
    repo.key = key;
    repo.status = status;
    if (status == command::InfoStatus::other) {
        repo.problem = "[FileOpenError] unable to open 'x'\nHINT: look";
    }
    return repo;
}

inline command::InfoStanza make_stanza(std::vector<command::InfoRepository> repositories)
{
    command::InfoStanza stanza;
    stanza.name = "main";
    stanza.repositories = std::move(repositories);
    return stanza;
}

} // namespace pgstrata::test
