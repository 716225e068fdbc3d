// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/backup.hpp"

#include "engine/added_files.hpp"
#include "engine/backup_changes.hpp"
#include "engine/backup_claim.hpp"
#include "engine/backup_server.hpp"
#include "engine/backup_summary.hpp"
#include "engine/backup_wal.hpp"
#include "engine/damaged_files.hpp"
#include "engine/database_names.hpp"
#include "engine/server_wal.hpp"
#include "engine/stopped_cluster.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/engine/backup_plan.hpp"
#include "pgstrata/engine/copy.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/engine/prior_backup.hpp"
#include "pgstrata/engine/wal_wait.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/process.hpp"
#include "pgstrata/util/size.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

using repository::Manifest;

// Pages cannot be newer than this much WAL after the start: a random LSN on a damaged page is.
constexpr std::uint64_t kLsnMargin = std::uint64_t{1} << 40U;
constexpr std::uint32_t kWalMode = 0600;
constexpr unsigned kLeasePause = 1000; // milliseconds

// One backup on its way from the first check to backup.json.
class BackupRun : NonCopyable {
public:
    BackupRun(const BackupOptions& options,
              const repository::Repository& repository,
              const BackupServers& servers)
        : options_(options), repository_(repository), session_(servers.source),
          primary_(servers.primary)
    {
    }

    repository::BackupSummary run(const Progress::Report& report)
    {
        check_cluster();
        // The backup that was waited for may be the one to build on.
        wait_for_lock(options_.lock_wait_milliseconds, kLeasePause, [&] {
            choose_prior_backup();
            claim_label();
        });
        check_prior();
        inherit_page_checks();
        start();
        copy(report);
        stop();
        return commit();
    }

private:
    bool is_online() const noexcept { return session_ != nullptr; }
    repository::ManifestHeader& header() noexcept { return manifest_.header; }

    void check_cluster()
    {
        cluster_ = current_cluster(repository_, options_.stanza);
        postgres::ControlFileCopy copy =
            postgres::read_control_file(options_.data_directory, options_.pg_version_force);
        control_ = copy.control;
        check_identity(control_, cluster_, ErrorCode::backup_mismatch);
        if (!is_online()) {
            stopped_.emplace(options_, std::move(copy.bytes));
        } else {
            server_.emplace(*session_, primary_);
            if (session_->is_in_recovery() != server_->is_standby()) {
                throw Error(ErrorCode::db_connect,
                            "the server is not what it was a moment ago: a standby was promoted, "
                            "or a primary became a standby",
                            "take the backup again");
            }
            wal_.emplace(repository_, wal_wait(), options_.data_directory, *session_, primary_);
        }
        check_pages_ = options_.check_pages.value_or(control_.data_checksum_version == 1);
        if (check_pages_ && control_.data_checksum_version != 1) {
            log::warn("checksum-page option set to true but checksums are not enabled on the "
                      "cluster, resetting to "
                      "false");
            check_pages_ = false;
        }
    }

    void choose_prior_backup()
    {
        const auto backups = repository::list_backups(
            repository_, options_.stanza, repository::warn_of_unreadable_backup);
        prior_.reset();
        manifest_.packs.clear();
        PriorChoice choice = choose_prior(backups, options_.type, cluster_.id);
        if (choice.prior != nullptr) {
            const std::string fault = find_fault(repository_, options_.stanza, choice.prior->label);
            if (fault.empty()) {
                prior_ = std::make_unique<repository::ManifestReader>(
                    repository_, options_.stanza, choice.prior->label);
            } else {
                choice = {repository::BackupType::full, nullptr, fault};
            }
        }
        if (choice.type != options_.type) {
            log::warn("{}, {} backup has been changed to full",
                      choice.reason,
                      repository::to_string(options_.type));
        }
        header().type = choice.type;
        header().prior = prior_ ? choice.prior->label : "";
        if (prior_) {
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
        auto claim = std::make_unique<BackupClaim>(
            repository_, options_.stanza, journal_header(), options_.can_resume, options_.workers);
        check_stanza();
        claim_ = std::move(claim);
        header().label = claim_->label();
    }

    // What is begun while the stanza is deleted would be lost with it.
    void check_stanza() const
    {
        check_not_being_deleted(repository_, options_.stanza);
        const auto paths = repository::cluster_paths(options_.stanza, cluster_.id);
        if (std::ranges::none_of(paths, [&](const std::string& path) {
                return repository_.storage().info(path).has_value();
            })) {
            raise(
                ErrorCode::file_missing, "stanza '{}' was deleted at this moment", options_.stanza);
        }
    }

    // Whoever removes backups looks for leases after the summaries went, so that one of the two
    // learns of the other.
    void check_prior() const
    {
        const std::string& prior = manifest_.header.prior;
        if (!prior.empty() &&
            !repository_.storage().info(repository::summary_path(options_.stanza, prior))) {
            throw Error(ErrorCode::lock_acquire,
                        fmt::format("backup {}, which this one builds on, was removed at this "
                                    "moment, maybe by another host",
                                    prior),
                        "take the backup again");
        }
    }

    // What is not read again was checked, or not, when the prior backup was made, and a backup says
    // one thing of all its pages. A cluster that lost its checksums has none to check.
    void inherit_page_checks()
    {
        if (!prior_ || control_.data_checksum_version != 1 ||
            prior_->head().header.has_page_checks == check_pages_) {
            return;
        }
        log::warn("{} backup cannot alter 'checksum-page' option to '{}', reset to '{}' from {}",
                  repository::to_string(header().type),
                  check_pages_,
                  !check_pages_,
                  header().prior);
        check_pages_ = !check_pages_;
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
        } else {
            stopped_->check();
            head.copy_time = now_nanoseconds();
        }
    }

    void start_online()
    {
        wal_->remember_current();
        server_->wait_for_replay(options_.archive_timeout_milliseconds);
        header().copy_time = server_->settle(!prior_ && options_.start_fast);
        log::info("execute non-exclusive backup start: backup begins after the {} {} completes",
                  options_.start_fast ? "requested immediate" : "next regular",
                  server_->is_standby() ? "restartpoint" : "checkpoint");
        const postgres::BackupStart started = session_->start_backup(
            fmt::format("pgstrata backup started at {}", format_local_time(header().start_time)),
            options_.start_fast);
        header().start_lsn = started.lsn;
        header().timeline = started.timeline;
        check_timeline();
        const auto first =
            postgres::segment_of(started.timeline, started.lsn, cluster_.wal_segment_size);
        header().start_wal = postgres::to_string(first, cluster_.wal_segment_size);
        log::info("backup start archive = {}, lsn = {}",
                  header().start_wal,
                  postgres::to_string(started.lsn));
        remember_names(*session_, manifest_);
        if (options_.check_archive) {
            wal_->begin_probe(first);
        }
    }

    // A standby may follow its primary to another timeline, and its backup would end there.
    void check_timeline() const
    {
        if (server_->is_standby()) {
            check_timeline(
                postgres::read_control_file(options_.data_directory, options_.pg_version_force)
                    .control.min_recovery_timeline);
        }
    }
    void check_timeline(postgres::Timeline found) const
    {
        if (found != manifest_.header.timeline) {
            throw Error(ErrorCode::db_mismatch,
                        fmt::format("the backup began on timeline {} and the standby is on {}",
                                    manifest_.header.timeline,
                                    found),
                        "take the backup again when the standby has had a restartpoint there: "
                        "CHECKPOINT on its primary brings one");
        }
    }

    WalWait wal_wait() const
    {
        return {options_.stanza,
                cluster_.id,
                cluster_.wal_segment_size,
                options_.archive_timeout_milliseconds,
                options_.repo_index,
                options_.spool_path,
                options_.lock_path};
    }

    void copy(const Progress::Report& report)
    {
        postgres::ScanRules rules;
        rules.major = control_.major;
        rules.catalog_version = control_.catalog_version;
        rules.online = is_online();
        rules.exclude = options_.exclude;
        if (prior_) {
            changes_ = find_changes(options_, prior_->head().header, header(), session_);
        }
        scan_into_manifest(options_.data_directory, rules, manifest_);
        const BackupPlan plan = plan_copy();
        if (is_online() && options_.check_archive) {
            wal_->wait_for_probe();
        }
        packs_.emplace(repository_, options_.stanza, header().label, options_.pack_size);
        if (claim_->durable() != nullptr) {
            packs_->take_over(claim_->durable()->packs());
        }
        Progress progress(plan.bytes, report);
        const CopyResult result = copy_files(copy_options(), plan, manifest_, *packs_, progress);
        read_bytes_ = result.read;
        copied_bytes_ = result.stored;
        added_.emplace(*packs_, manifest_, options_.compress_level);
        remove_vanished(manifest_, result.vanished);
        copy_control_file();
    }

    BackupPlan plan_copy()
    {
        if (!prior_) {
            return plan_full_backup(manifest_, control_.page_size);
        }
        const repository::ManifestHeader& before = prior_->head().header;
        const std::string doubt = options_.is_delta
                                      ? "option --delta is set"
                                      : why_times_do_not_count(before, header(), now_nanoseconds());
        ChangeRules rules;
        rules.page_size = control_.page_size;
        rules.trust_times = doubt.empty();
        rules.prior_copy_time = before.copy_time;
        rules.changes = changes_.blocks ? &*changes_.blocks : nullptr;
        if (!doubt.empty()) {
            log::info("sizes and times of files do not count, all files are compared: {}", doubt);
        }
        const repository::Damage damage =
            repository::known_damage(repository::read_verify_records(repository_, options_.stanza),
                                     repository::list_labels(repository_, options_.stanza));
        DamagedFiles damaged(repository_, options_.stanza, manifest_.packs, damage);
        BackupPlan plan =
            plan_backup(manifest_, rules, *prior_, [&](const repository::ManifestFile& file) {
                const bool is_lost = !damaged.find(file).empty();
                if (is_lost) {
                    log::warn("file '{}' is damaged in backup {}: it is stored anew",
                              file.path,
                              header().prior);
                }
                return is_lost;
            });
        log::info("{} of {} are as in backup {} by size and time",
                  format_size(plan.referred),
                  format_size(plan.referred + plan.bytes),
                  header().prior);
        return plan;
    }

    CopyOptions copy_options()
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
        if (prior_ && prior_->head().header.is_online) {
            copy.unjudged_from = prior_->head().header.start_lsn;
        }
        copy.page_size = control_.page_size;
        copy.segment_pages = control_.segment_pages;
        copy.changes = changes_.blocks ? &*changes_.blocks : nullptr;
        copy.audit = changes_.audit;
        copy.durable = claim_->durable();
        if (options_.can_resume) {
            copy.journal = journal_header();
        }
        copy.check_worthwhile = [this] {
            claim_->check_renewed();
            if (is_online()) {
                server_->check();
            }
        };
        return copy;
    }

    // Last of all files, from one read whose CRC was right.
    void copy_control_file()
    {
        const postgres::ControlFileCopy copy =
            postgres::read_control_file(options_.data_directory, options_.pg_version_force);
        if (check_pages_ && copy.control.data_checksum_version != control_.data_checksum_version) {
            raise(ErrorCode::db_mismatch, "data checksums were switched while the backup ran");
        }
        added_->add(std::string(postgres::kControlFilePath),
                    manifest_.directories.front().mode & 0666U,
                    copy.bytes);
    }

    void stop()
    {
        if (!is_online()) {
            stopped_->check();
            header().stop_time = now_seconds();
            return;
        }
        remember_names(*session_, manifest_);
        log::info("execute non-exclusive backup stop and wait for all WAL segments to archive");
        server_->check();
        const postgres::BackupStop stopped = session_->stop_backup();
        check_timeline(stopped.start_timeline);
        check_timeline();
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
        if (!options_.check_archive) {
            return;
        }
        add_wal(first, last);
    }

    // What a standby alone cannot get archived goes into the backup, so that it can become
    // consistent whatever happens to the primary; the rest goes there too where it is asked for.
    void add_wal(postgres::WalSegment first, postgres::WalSegment last)
    {
        const std::vector<postgres::WalSegment> missing = wal_->wait_for_all(first, last);
        const ServerWal server{options_.data_directory,
                               control_.major,
                               cluster_.wal_segment_size,
                               cluster_.system_identifier};
        for (postgres::WalSegment segment = first; segment <= last; ++segment.number) {
            const std::string name = postgres::to_string(segment, cluster_.wal_segment_size);
            if (std::ranges::find(missing, segment) != missing.end()) {
                log::info("WAL segment {} is not in the archive yet: it is taken from the standby",
                          name);
                added_->add("pg_wal/" + name,
                            kWalMode,
                            read_server_wal(server, segment, header().stop_lsn));
            } else if (options_.copy_archive) {
                const auto found =
                    repository::find_wal(repository_, options_.stanza, cluster_.id, name);
                added_->add("pg_wal/" + name,
                            kWalMode,
                            repository::read_wal(repository_,
                                                 options_.stanza,
                                                 cluster_.id,
                                                 found.at(0),
                                                 cluster_.wal_segment_size));
            }
        }
    }

    repository::BackupSummary commit()
    {
        repository::settle_packs(manifest_, packs_->finished());
        sort_names(manifest_);
        repository::BackupSummary summary = summarize(manifest_);
        summary.delta = copied_bytes_ + added_->bytes();
        summary.read = read_bytes_ + added_->bytes();
        summary.change_tracking = !prior_ ? "full" : changes_.blocks ? "summary" : "scan";
        summary.host = host_name();
        summary.annotations = options_.annotations;
        summary.schedule = options_.schedule;
        summary.retain = options_.retain;
        claim_->check();
        summary.manifest_size = repository::write_manifest(repository_, options_.stanza, manifest_);
        check_references(summary);
        claim_->check();
        repository::write_summary(repository_, options_.stanza, summary);
        claim_->finish();
        return summary;
    }

    // Another host may have removed what this backup builds on.
    void check_references(const repository::BackupSummary& summary) const
    {
        for (const std::string& label : summary.references) {
            if (!repository_.storage().info(repository::summary_path(options_.stanza, label))) {
                raise(ErrorCode::backup_set_invalid,
                      "backup {}, which this one builds on, was removed meanwhile",
                      label);
            }
        }
    }

    const BackupOptions& options_;
    const repository::Repository& repository_;
    postgres::Session* session_; // null when the server is stopped
    postgres::Session* primary_;
    std::optional<BackupServer> server_;    // when it runs
    std::optional<StoppedCluster> stopped_; // when it does not
    std::optional<BackupWal> wal_;
    repository::Cluster cluster_;
    postgres::ControlFile control_;
    bool check_pages_ = false;
    Manifest manifest_;
    std::unique_ptr<repository::ManifestReader> prior_; // null for a full
    KnownChanges changes_;
    std::unique_ptr<BackupClaim> claim_;
    std::optional<repository::PackSet> packs_;
    std::optional<AddedFiles> added_;
    std::uint64_t read_bytes_ = 0;
    std::uint64_t copied_bytes_ = 0;
};

} // namespace

repository::BackupSummary make_backup(const BackupOptions& options,
                                      const repository::Repository& repository,
                                      const BackupServers& servers,
                                      const Progress::Report& report)
{
    return BackupRun(options, repository, servers).run(report);
}

} // namespace pgstrata::engine
