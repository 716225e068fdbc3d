// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/engine/copied_backup.hpp"
#include "unit/postgres/wal_builder.hpp"

#include "pgstrata/engine/restore_plan.hpp"

#include <map>
#include <string>

namespace pgstrata::test {

// Everything below a directory, by path: the bytes of files, where links lead, "/" for directories.
inline std::map<std::string, std::string> snapshot(const std::string& directory)
{
    namespace fs = std::filesystem;
    std::map<std::string, std::string> all;
    if (!fs::exists(directory)) {
        return all;
    }
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        const std::string path = fs::relative(entry.path(), directory).string();
        if (entry.is_symlink()) {
            all[path] = "-> " + fs::read_symlink(entry.path()).string();
        } else {
            all[path] =
                entry.is_directory() ? "/" : read_text_file(entry.path().string(), 64U << 20U);
        }
    }
    return all;
}

// An online backup of timeline 1 from 0/300028 (in segment 3 of 1 MiB) to the end of that segment's
// second record, with its WAL in the archive: a few commits, the last one at kLastCommit.
class Restorable : public CopiedBackup {
public:
    static constexpr std::int64_t kLastCommit = 1795230000'000000; // microseconds, Unix
    static constexpr auto kStartWal = "000000010000000000000003";

    Restorable()
    {
        log::configure({.console = log::Level::off});
        options.stanza = kRestoreStanza;
        options.layout.data_directory = target;
        options.settings.restore_command = "pgstrata archive-get %f \"%p\"";
        options.workers = 1;

        repository::ManifestHeader& header = manifest.header;
        header.start_lsn = postgres::Lsn{0x300028};
        header.stop_lsn = postgres::Lsn{0x300100};
        header.start_wal = kStartWal;
        header.stop_wal = kStartWal;
        header.backup_label = "START WAL LOCATION: 0/300028 (file 000000010000000000000003)\n";

        add("PG_VERSION", "15\n");
        add("postgresql.auto.conf", "work_mem = '8MB'\nrecovery_target_xid = '7'\n");
        add("global/1262", random_text(8192, 1));
        add("base/5/PG_VERSION", "15\n");
        add("base/5/16384", random_text(std::size_t{2} << 20U, 2));
        add("base/5/16385", random_text(3 * 8192, 3));
        add("pg_xact/0000", random_text(300000, 4));
        std::filesystem::create_directories(source / "pg_notify");
        std::filesystem::permissions(source.path(), std::filesystem::perms::owner_all);
    }
    ~Restorable() { log::configure({}); }
    Restorable(const Restorable&) = delete;
    Restorable& operator=(const Restorable&) = delete;

    // Makes the backup and its WAL.
    void store_all()
    {
        store_files();
        commit();
        if (manifest.header.is_online) {
            archive_wal(*repository, manifest.header.archive_id);
        }
    }

    static void archive_wal(const repository::Repository& where, repository::ArchiveId id)
    {
        WalBuilder builder;
        for (const std::int64_t before : {9, 4, 0}) {
            std::vector<std::byte> data(8);
            constexpr std::int64_t kServerEpoch = 946684800'000000;
            pgstrata::store(data.data(), kLastCommit - kServerEpoch - before * 1000000);
            builder.append(1, 0, data);
        }
        archive_file(where, id, kStartWal, builder.segment(0));
    }

    // An older cluster where the restore will go.
    void make_old_cluster() const
    {
        for (const char* const path : {"PG_VERSION", "global/pg_control", "base/5/9999", "junk"}) {
            write_text_file(target + "/" + path, std::string("old ") + path);
        }
    }

    void set_target(repository::RecoveryType type, const std::string& text = {})
    {
        options.target.type = type;
        options.settings.type = type;
        options.settings.target = text;
    }

    engine::RestoreReport restore() { return restore_from({{1, repository.get()}}); }
    engine::RestoreReport restore_from(const std::vector<engine::RestoreSource>& sources)
    {
        return carry_out(plan(sources));
    }
    engine::RestorePlan plan(const std::vector<engine::RestoreSource>& sources) const
    {
        return engine::plan_restore(options, sources, engine::OnProblem::fail);
    }
    engine::RestorePlan plan() const { return plan({{1, repository.get()}}); }
    engine::RestoreReport carry_out(const engine::RestorePlan& plan) const
    {
        return engine::carry_out(options, plan, report);
    }

    std::string restored(const std::string& path) const
    {
        return read_text_file(target + "/" + path, 64U << 20U);
    }
    bool is_there(const std::string& path) const
    {
        return std::filesystem::exists(target + "/" + path);
    }
    bool has_control_file() const { return is_there("global/pg_control"); }

    TemporaryDirectory base;
    std::string target = base / "data";
    engine::RestoreOptions options;
    engine::Progress::Report report;
};

} // namespace pgstrata::test
