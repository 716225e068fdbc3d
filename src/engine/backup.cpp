// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/backup.hpp"

#include "engine/backup_summary.hpp"
#include "engine/frame_packer.hpp"
#include "engine/unfinished_backup.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/engine/backup_plan.hpp"
#include "pgstrata/engine/copy.hpp"
#include "pgstrata/engine/prior_backup.hpp"
#include "pgstrata/engine/wal_changes.hpp"
#include "pgstrata/engine/wal_wait.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"
#include "pgstrata/util/size.hpp"

#include <unistd.h>

#include <algorithm>
#include <set>

namespace pgstrata::engine {

namespace {

using repository::Manifest;
using repository::ManifestFile;

// Pages cannot be newer than this much WAL after the start: a random LSN on a damaged page is.
constexpr std::uint64_t kLsnMargin = std::uint64_t{1} << 40U;
constexpr unsigned kSummariesSince = 17;
// Between the listing and the first read: longer than a tick of the clock that files get their
// times from, so that whatever is written from then on changes a file's time.
constexpr unsigned kQuietMilliseconds = 25;

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
        choose_prior_backup();
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

    void choose_prior_backup()
    {
        const auto backups = repository::list_backups(
            repository_, options_.stanza, repository::warn_of_unreadable_backup);
        PriorChoice choice = choose_prior(backups, options_.type, cluster_.id);
        if (choice.prior != nullptr) {
            try {
                prior_ = std::make_unique<repository::ManifestReader>(
                    repository_, options_.stanza, choice.prior->label);
            } catch (const Error& error) {
                choice = {repository::BackupType::full, nullptr, error.what()};
            }
        }
        if (choice.type != options_.type) {
            log::warn("{}, {} backup has been changed to full",
                      choice.reason,
                      repository::to_string(options_.type));
        }
        header().type = choice.type;
        if (prior_) {
            header().prior = choice.prior->label;
            manifest_.packs = prior_->head().packs;
            log::info("last backup label = {}, version = {}",
                      choice.prior->label,
                      choice.prior->program_version);
        }
    }

    repository::JournalHeader journal_header() const
    {
        const repository::ManifestHeader& head = manifest_.header;
        return {head.type, head.prior, cluster_.id, control_.page_size};
    }

    void claim_label()
    {
        ClaimedLabel claimed;
        if (options_.can_resume) {
            UnfinishedBackup unfinished = take_up_unfinished_backup(
                repository_, options_.stanza, journal_header(), options_.workers);
            claimed = std::move(unfinished.claimed);
            durable_ = std::move(unfinished.work);
        } else {
            collect_abandoned_backups(repository_, options_.stanza);
        }
        if (!claimed.lease) {
            claimed = claim_new_label(repository_, options_.stanza, header().type, header().prior);
            log::info("new backup label = {}", claimed.label);
        }
        header().label = std::move(claimed.label);
        lease_ = std::move(claimed.lease);
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
        find_wal_changes();
        scan_into_manifest(options_.data_directory, rules, manifest_);
        sleep_milliseconds(kQuietMilliseconds);
        header().copy_time = now_nanoseconds();
        const BackupPlan plan = plan_copy();
        packs_.emplace(repository_, options_.stanza, header().label, options_.pack_size);
        if (durable_) {
            packs_->take_over(durable_->packs());
        }
        Progress progress(plan.bytes, report);
        const CopyResult result = copy_files(copy_options(), plan, manifest_, *packs_, progress);
        read_bytes_ = result.read;
        copied_bytes_ = result.stored;
        remove_vanished(result.vanished);
        copy_control_file();
    }

    BackupPlan plan_copy()
    {
        if (!prior_) {
            return plan_full_backup(manifest_, control_.page_size);
        }
        const repository::ManifestHeader& before = prior_->head().header;
        const std::string doubt =
            options_.is_delta ? "option --delta is set"
                              : why_times_do_not_count(before, header(), header().copy_time);
        ChangeRules rules;
        rules.page_size = control_.page_size;
        rules.trust_times = doubt.empty();
        rules.prior_copy_time = before.copy_time;
        rules.changes = wal_changes_ ? &*wal_changes_ : nullptr;
        if (!doubt.empty()) {
            log::info("sizes and times of files do not count, all files are compared: {}", doubt);
        }
        const BackupPlan plan = plan_backup(manifest_, rules, *prior_);
        log::info("{} of {} are as in backup {} by size and time",
                  format_size(plan.referred),
                  format_size(plan.referred + plan.bytes),
                  header().prior);
        return plan;
    }

    // WAL summaries save reading what was touched but not changed; without them nothing is lost but
    // time.
    void find_wal_changes()
    {
        if (!prior_) {
            return;
        }
        const std::string reason = ask_for_wal_changes();
        if (wal_changes_) {
            log::info("change tracking: of relation files that were touched only the pages are "
                      "read that {} WAL summaries name",
                      wal_summaries_);
            return;
        }
        const bool is_missed = options_.change_tracking == ChangeTracking::summary ||
                               (is_online() && session_->major() >= kSummariesSince &&
                                session_->setting("summarize_wal") == "on" &&
                                options_.change_tracking == ChangeTracking::automatic);
        log::write(
            is_missed ? log::Level::warn : log::Level::info,
            fmt::format("change tracking: all files that were touched are read: {}", reason));
    }

    // Why there are none, where there are none.
    std::string ask_for_wal_changes()
    {
        if (options_.change_tracking == ChangeTracking::scan) {
            return "option --change-tracking is set to scan";
        }
        if (options_.is_delta) {
            return "option --delta is set";
        }
        if (!is_online()) {
            return "the server is not running";
        }
        const repository::ManifestHeader& before = prior_->head().header;
        if (!before.is_online || before.data_checksum_version != control_.data_checksum_version) {
            return "the prior backup was taken of a stopped server or with another setting of data "
                   "checksums";
        }
        WalChangesRequest request;
        request.data_directory = options_.data_directory;
        request.prior_timeline = before.timeline;
        request.prior_start = before.start_lsn;
        request.prior_stop = before.stop_lsn;
        request.timeline = header().timeline;
        request.start = header().start_lsn;
        request.timeout_milliseconds = options_.archive_timeout_milliseconds;
        WalChanges changes = read_wal_changes(request, *session_);
        wal_changes_ = std::move(changes.blocks);
        wal_summaries_ = changes.files;
        return changes.reason;
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
        copy.changes = wal_changes_ ? &*wal_changes_ : nullptr;
        if (wal_changes_) {
            copy.audit.start = manifest_.header.start_lsn;
            copy.audit.prior_start = prior_->head().header.start_lsn;
            copy.audit.hints_are_logged =
                control_.data_checksum_version != 0 || session_->setting("wal_log_hints") == "on";
        }
        copy.durable = durable_.get();
        if (options_.can_resume) {
            copy.journal = journal_header();
        }
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
            file.extents.push_back(packer.in_manifest(packer.add_frame(piece)));
            bytes = bytes.subspan(piece.size());
        }
        copied_bytes_ += file.size;
        read_bytes_ += file.size;
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
        FramePacker packer(*packs_, manifest_, options_.compress_level);
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
        FramePacker packer(*packs_, manifest_, options_.compress_level);
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
        repository::settle_packs(manifest_, packs_->finished());
        std::ranges::sort(manifest_.databases, {}, &repository::ManifestDatabase::oid);
        std::ranges::sort(manifest_.tablespaces, {}, &repository::ManifestTablespace::oid);
        repository::BackupSummary summary = summarize(manifest_);
        summary.delta = copied_bytes_;
        summary.read = read_bytes_;
        summary.change_tracking = !prior_ ? "full" : wal_changes_ ? "summary" : "scan";
        summary.host = host_name();
        summary.annotations = options_.annotations;
        summary.manifest_size = repository::write_manifest(repository_, options_.stanza, manifest_);
        repository::write_summary(repository_, options_.stanza, summary);
        // From here on the backup exists, whatever happens to its journals and lease.
        is_committed_ = true;
        clean_up();
        return summary;
    }

    void clean_up()
    {
        try {
            repository::remove_journals(repository_, options_.stanza, header().label);
        } catch (const Error& error) {
            log::warn(
                "unable to remove the journals of backup {}: {}", header().label, error.what());
        }
        release_lease();
    }

    void release_lease()
    {
        try {
            lease_->release();
        } catch (const Error& error) {
            log::warn("unable to remove the lease of backup {}: {}", header().label, error.what());
        }
    }

    // After a failure. The connection, which ends the server's backup mode when it closes, belongs
    // to the caller.
    void abandon() noexcept
    {
        if (is_committed_) {
            return;
        }
        const bool has_durable_work = packs_ && !packs_->finished().empty();
        try {
            release_lease();
            if (options_.can_resume && has_durable_work) {
                log::info("what backup {} has stored is kept for a later try", header().label);
                return;
            }
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
    std::unique_ptr<repository::ManifestReader> prior_; // null for a full
    std::optional<postgres::ChangedBlocks> wal_changes_;
    std::size_t wal_summaries_ = 0; // that they were read from
    std::unique_ptr<repository::Lease> lease_;
    std::unique_ptr<repository::DurableWork> durable_; // of an earlier try
    std::optional<repository::PackSet> packs_;
    std::uint64_t read_bytes_ = 0;
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
