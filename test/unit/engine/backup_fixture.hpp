// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/engine/archive_fixture.hpp"

#include "pgstrata/engine/backup.hpp"

namespace pgstrata::test {

// A small cluster and a repository in memory, with a stanza for it.
struct BackupRun : ArchiveRun {
    explicit BackupRun(const repository::CipherSetting& setting = {}) : ArchiveRun(setting)
    {
        data.write_cluster();
        backup.stanza = kStanza;
        backup.data_directory = data.path();
    }
    repository::BackupSummary run(postgres::Session* session = nullptr)
    {
        return engine::make_backup(backup, *repository, session, {});
    }
    repository::Manifest manifest(const std::string& label) const
    {
        return repository::read_manifest(*first.repository, kStanza, label);
    }
    // Reads every file of a backup as a restore would; any damage fails the test.
    void check_complete(const std::string& label) const
    {
        const auto found = manifest(label);
        REQUIRE(find_file(found, "global/pg_control") != nullptr);
        repository::PackReader reader(*first.repository, kStanza, found.packs);
        for (const auto& file : found.files) {
            INFO(file.path);
            const std::string bytes = read_backed_up(reader, *first.repository, file);
            REQUIRE((bytes == read_text_file(data.path() + "/" + file.path)));
        }
    }

    DataDirectory data;
    engine::BackupOptions backup;
};

} // namespace pgstrata::test
