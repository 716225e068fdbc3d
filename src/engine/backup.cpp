// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/backup.hpp"

#include "engine/frame_packer.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/engine/backup_plan.hpp"
#include "pgstrata/engine/copy.hpp"
#include "pgstrata/engine/wal_wait.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"

#include <unistd.h>

#include <algorithm>
#include <set>

namespace pgstrata::engine {

namespace {

using repository::Manifest;
using repository::ManifestFile;

// Pages cannot be newer than this much WAL after the start: a random LSN on a damaged page is.
constexpr std::uint64_t kLsnMargin = std::uint64_t{1} << 40U;
// How far a label may run ahead of the clock before the clock is called wrong.
constexpr UnixSeconds kClockTolerance = 60;

// One backup on its way from the first check to backup.json.
class BackupRun : NonCopyable {
public:
    BackupRun(const BackupOptions& options,
              const repository::Repository& repository,
              postgres::Session* session)
        : options_(options), repository_(repository), session_(session)
    {
    }

    repository::BackupSummary run(const Progress::Report& report)
    {
        check_cluster();
        collect_abandoned_backups(repository_, options_.stanza);
        claim_label();
        try {
            start();
            copy(report);
            stop();
            return commit();
        } catch (...) {
            abandon();
            throw;
        }
    }

private:
    bool is_online() const noexcept { return session_ != nullptr; }
    repository::ManifestHeader& header() noexcept { return manifest_.header; }

    void check_cluster()
    {
        cluster_ = current_cluster(repository_, options_.stanza);
        control_ =
            postgres::read_control_file(options_.data_directory, options_.pg_version_force).control;
        check_identity(control_, cluster_, ErrorCode::backup_mismatch);
        if (!is_online()) {
            check_stopped();
        } else if (session_->is_in_recovery()) {
            throw Error(ErrorCode::db_connect,
                        "unable to find primary cluster: the server is in recovery",
                        "run the backup on the primary");
        }
        check_pages_ = options_.check_pages.value_or(control_.data_checksum_version == 1);
        if (check_pages_ && control_.data_checksum_version != 1) {
            log::warn("checksum-page option set to true but checksums are not enabled on the "
                      "cluster, resetting to "
                      "false");
            check_pages_ = false;
        }
    }

    void check_stopped() const
    {
        const std::string pid_file = join_path(options_.data_directory, "postmaster.pid");
        if (::access(pid_file.c_str(), F_OK) != 0) {
            return;
        }
        if (!options_.is_forced) {
            throw Error(
                ErrorCode::pg_running,
                "--no-online passed but postmaster.pid exists - looks like PostgreSQL is running",
                "stop PostgreSQL and try again, or use --force if it is certainly not running");
        }
        log::warn(
            "--no-online passed and postmaster.pid exists but --force was passed so backup will "
            "continue though "
            "it looks like PostgreSQL is running and the backup will probably not be consistent");
    }

    void claim_label()
    {
        UnixSeconds newest = 0;
        for (const std::string& label : repository::list_labels(repository_, options_.stanza)) {
            newest = std::max(newest, repository::parse_backup_label(label)->time);
        }
        UnixSeconds time = std::max(now_seconds(), newest + 1);
        if (time - now_seconds() > kClockTolerance) {
            throw Error(ErrorCode::clock,
                        fmt::format("the newest backup label is of {}, which is in the future",
                                    format_local_time(newest)),
                        "has the clock of this host gone back?");
        }
        for (; !lease_; ++time) {
            header().label = repository::make_backup_label(repository::BackupType::full, {}, time);
            lease_ = repository::Lease::claim(repository_, options_.stanza, header().label);
        }
        log::info("new backup label = {}", header().label);
    }

    void start()
    {
        repository::ManifestHeader& head = header();
        head.program_version = PGSTRATA_VERSION;
        head.archive_id = cluster_.id;
        head.system_identifier = control_.system_identifier;
        head.control_version = control_.control_version;
        head.catalog_version = control_.catalog_version;
        head.page_size = control_.page_size;
        head.segment_pages = control_.segment_pages;
        head.wal_segment_size = control_.wal_segment_size;
        head.data_checksum_version = control_.data_checksum_version;
        head.is_online = is_online();
        head.has_page_checks = check_pages_;
        head.data_directory = options_.data_directory;
        head.start_time = now_seconds();
        head.timeline = control_.timeline;
        if (is_online()) {
            start_online();
        }
    }

    void start_online()
    {
        const auto before = current_segment();
        log::info(
            "execute non-exclusive backup start: backup begins after the {} checkpoint completes",
            options_.start_fast ? "requested immediate" : "next regular");
        const postgres::BackupStart started = session_->start_backup(
            fmt::format("pgstrata backup started at {}", format_local_time(header().start_time)),
            options_.start_fast);
        header().start_lsn = started.lsn;
        header().timeline = started.timeline;
        const auto first =
            postgres::segment_of(started.timeline, started.lsn, cluster_.wal_segment_size);
        header().start_wal = postgres::to_string(first, cluster_.wal_segment_size);
        log::info("backup start archive = {}, lsn = {}",
                  header().start_wal,
                  postgres::to_string(started.lsn));
        remember_databases();
        if (options_.check_archive) {
            check_archiving_works(before, first);
        }
    }

    postgres::WalSegment current_segment()
    {
        return postgres::segment_of(
            session_->timeline(), session_->current_lsn(), cluster_.wal_segment_size);
    }

    // Before hours of copying: does WAL reach this repository at all? The segment before the start
    // was finished by the start; when there is none, one is finished for the purpose.
    void check_archiving_works(postgres::WalSegment before, postgres::WalSegment first)
    {
        postgres::WalSegment probe = before;
        if (before >= first) {
            session_->create_restore_point("pgstrata archive check");
            const auto name =
                postgres::parse_wal_segment(session_->switch_wal(), cluster_.wal_segment_size);
            probe = name ? *name : first;
        }
        log::info("check archive for segment {}",
                  postgres::to_string(probe, cluster_.wal_segment_size));
        wait_for_wal(repository_, wal_wait(), probe, probe, session_);
    }

    WalWait wal_wait() const
    {
        return {options_.stanza,
                cluster_.id,
                cluster_.wal_segment_size,
                options_.archive_timeout_milliseconds,
                options_.repo_index};
    }

    // A database made while the backup runs may be known at one of the two times only.
    void remember_databases()
    {
        std::set<std::uint32_t> known;
        for (const auto& database : manifest_.databases) {
            known.insert(database.oid);
        }
        for (const postgres::DatabaseInfo& database : session_->databases()) {
            if (!known.contains(database.oid)) {
                manifest_.databases.push_back({database.oid, database.name, database.is_template});
            }
        }
        known.clear();
        for (const auto& tablespace : manifest_.tablespaces) {
            known.insert(tablespace.oid);
        }
        for (const postgres::TablespaceInfo& tablespace : session_->tablespaces()) {
            if (!known.contains(tablespace.oid)) {
                manifest_.tablespaces.push_back({tablespace.oid, tablespace.name});
            }
        }
    }

    void copy(const Progress::Report& report)
    {
        postgres::ScanRules rules;
        rules.major = control_.major;
        rules.catalog_version = control_.catalog_version;
        rules.online = is_online();
        rules.exclude = options_.exclude;
        header().copy_time = now_nanoseconds();
        scan_into_manifest(options_.data_directory, rules, manifest_);
        const BackupPlan plan = plan_full_backup(manifest_, control_.page_size);
        packs_.emplace(repository_, options_.stanza, header().label, options_.pack_size);
        Progress progress(plan.bytes, report);
        const CopyResult result = copy_files(copy_options(), plan, manifest_, *packs_, progress);
        copied_bytes_ = result.bytes;
        remove_vanished(result.vanished);
        copy_control_file();
    }

    CopyOptions copy_options() const
    {
        CopyOptions copy;
        copy.data_directory = options_.data_directory;
        copy.workers = options_.workers;
        copy.compress_level = options_.compress_level;
        copy.check_pages = check_pages_;
        copy.page_check.headers = options_.check_page_headers;
        copy.page_check.start = manifest_.header.start_lsn;
        copy.page_check.limit.value =
            is_online() ? manifest_.header.start_lsn.value + kLsnMargin : 0;
        copy.page_size = control_.page_size;
        copy.segment_pages = control_.segment_pages;
        if (is_online()) {
            // A query that needs an answer: a backup that can never be stopped need not be copied
            // to its end.
            copy.check_source = [this] { session_->current_lsn(); };
        }
        return copy;
    }

    void remove_vanished(const std::vector<bool>& vanished)
    {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < manifest_.files.size(); ++i) {
            if (vanished[i]) {
                log::detail("skip file removed during the backup {}", manifest_.files[i].path);
                continue;
            }
            if (kept != i) {
                manifest_.files[kept] = std::move(manifest_.files[i]);
            }
            ++kept;
        }
        manifest_.files.resize(kept);
    }

    // Adds bytes at hand as a file of the backup, at its place in the order of paths.
    void add_file(FramePacker& packer, ManifestFile file, ByteView bytes)
    {
        file.size = bytes.size();
        file.content = repository::ContentKind::whole;
        file.digest = codec::xxh3_128(bytes);
        while (!bytes.empty()) {
            const ByteView piece = bytes.first(std::min(bytes.size(), codec::kFrameRawLimit));
            file.extents.push_back(packer.add_frame(piece));
            bytes = bytes.subspan(piece.size());
        }
        copied_bytes_ += file.size;
        const auto at =
            std::ranges::lower_bound(manifest_.files, file.path, {}, &ManifestFile::path);
        manifest_.files.insert(at, std::move(file));
    }

    // Last of all files, from one read whose CRC was right.
    void copy_control_file()
    {
        const postgres::ControlFileCopy copy =
            postgres::read_control_file(options_.data_directory, options_.pg_version_force);
        if (check_pages_ && copy.control.data_checksum_version != control_.data_checksum_version) {
            raise(ErrorCode::db_mismatch, "data checksums were switched while the backup ran");
        }
        FramePacker packer(*packs_, manifest_, control_.page_size, options_.compress_level);
        ManifestFile file;
        file.path = postgres::kControlFilePath;
        file.mtime = now_nanoseconds();
        file.mode = manifest_.directories.front().mode & 0666U;
        file.user = manifest_.directories.front().user;
        file.group = manifest_.directories.front().group;
        add_file(packer, std::move(file), copy.bytes);
        packer.finish();
    }

    void stop()
    {
        if (!is_online()) {
            header().stop_time = now_seconds();
            return;
        }
        remember_databases();
        log::info("execute non-exclusive backup stop and wait for all WAL segments to archive");
        const postgres::BackupStop stopped = session_->stop_backup();
        header().stop_time = now_seconds();
        header().stop_lsn = stopped.lsn;
        header().backup_label = stopped.backup_label;
        header().tablespace_map = stopped.tablespace_map;
        const auto first =
            postgres::segment_of(header().timeline, header().start_lsn, cluster_.wal_segment_size);
        const auto last = postgres::last_segment_before(
            header().timeline, stopped.lsn, cluster_.wal_segment_size);
        header().stop_wal = postgres::to_string(last, cluster_.wal_segment_size);
        log::info("backup stop archive = {}, lsn = {}",
                  header().stop_wal,
                  postgres::to_string(stopped.lsn));
        if (options_.check_archive) {
            log::info("check archive for segment(s) {}:{}", header().start_wal, header().stop_wal);
            wait_for_wal(repository_, wal_wait(), first, last, session_);
            if (options_.copy_archive) {
                copy_wal(first, last);
            }
        }
    }

    void copy_wal(postgres::WalSegment first, postgres::WalSegment last)
    {
        FramePacker packer(*packs_, manifest_, control_.page_size, options_.compress_level);
        for (postgres::WalSegment segment = first; segment <= last; ++segment.number) {
            const std::string name = postgres::to_string(segment, cluster_.wal_segment_size);
            const auto found =
                repository::find_wal(repository_, options_.stanza, cluster_.id, name);
            const Buffer bytes = repository::read_wal(
                repository_, options_.stanza, cluster_.id, found.at(0), cluster_.wal_segment_size);
            ManifestFile file;
            file.path = "pg_wal/" + name;
            file.mtime = now_nanoseconds();
            file.mode = 0600;
            file.user = manifest_.directories.front().user;
            file.group = manifest_.directories.front().group;
            add_file(packer, std::move(file), bytes);
        }
        packer.finish();
    }

    repository::BackupSummary commit()
    {
        manifest_.packs = packs_->finished();
        std::ranges::sort(manifest_.databases, {}, &repository::ManifestDatabase::oid);
        std::ranges::sort(manifest_.tablespaces, {}, &repository::ManifestTablespace::oid);
        repository::BackupSummary summary = summarize();
        summary.manifest_size = repository::write_manifest(repository_, options_.stanza, manifest_);
        repository::write_summary(repository_, options_.stanza, summary);
        // From here on the backup exists, whatever happens to its lease.
        is_committed_ = true;
        release_lease();
        return summary;
    }

    void release_lease()
    {
        try {
            lease_->release();
        } catch (const Error& error) {
            log::warn("unable to remove the lease of backup {}: {}", header().label, error.what());
        }
    }

    repository::BackupSummary summarize() const
    {
        const repository::ManifestHeader& head = manifest_.header;
        repository::BackupSummary summary;
        summary.label = head.label;
        summary.type = head.type;
        summary.program_version = head.program_version;
        summary.archive_id = head.archive_id;
        summary.system_identifier = head.system_identifier;
        summary.is_online = head.is_online;
        summary.start_time = head.start_time;
        summary.stop_time = head.stop_time;
        summary.timeline = head.timeline;
        summary.start_lsn = head.start_lsn;
        summary.stop_lsn = head.stop_lsn;
        summary.start_wal = head.start_wal;
        summary.stop_wal = head.stop_wal;
        summary.delta = copied_bytes_;
        summary.files = manifest_.files.size();
        summary.host = host_name();
        summary.annotations = options_.annotations;
        for (const ManifestFile& file : manifest_.files) {
            summary.size += file.size;
            if (file.is_damaged) {
                summary.damaged_files.push_back(file.path);
            }
        }
        for (const repository::PackInfo& pack : manifest_.packs) {
            summary.repository_delta += pack.size;
        }
        summary.repository_size = summary.repository_delta;
        return summary;
    }

    // After a failure. The connection, which ends the server's backup mode when it closes, belongs
    // to the caller.
    void abandon() noexcept
    {
        if (is_committed_) {
            return;
        }
        try {
            release_lease();
            packs_.reset();
            remove_incomplete_backup(repository_, options_.stanza, header().label);
        } catch (const Error& error) {
            log::warn("unable to remove the aborted backup {}: {}", header().label, error.what());
        }
    }

    const BackupOptions& options_;
    const repository::Repository& repository_;
    postgres::Session* session_;
    repository::Cluster cluster_;
    postgres::ControlFile control_;
    bool check_pages_ = false;
    Manifest manifest_;
    std::unique_ptr<repository::Lease> lease_;
    std::optional<repository::PackSet> packs_;
    std::uint64_t copied_bytes_ = 0;
    bool is_committed_ = false;
};

} // namespace

repository::BackupSummary make_backup(const BackupOptions& options,
                                      const repository::Repository& repository,
                                      postgres::Session* session,
                                      const Progress::Report& report)
{
    return BackupRun(options, repository, session).run(report);
}

} // namespace pgstrata::engine
