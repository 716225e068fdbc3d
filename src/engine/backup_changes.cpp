// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_changes.hpp"

#include "pgstrata/engine/wal_changes.hpp"
#include "pgstrata/log/log.hpp"

namespace pgstrata::engine {

namespace {

constexpr unsigned kSummariesSince = 17;

// Why WAL summaries are not asked; empty when they are.
std::string reason_not_to_ask(const BackupOptions& options,
                              const repository::ManifestHeader& prior,
                              const repository::ManifestHeader& now)
{
    if (options.change_tracking == ChangeTracking::scan) {
        return "option --change-tracking is set to scan";
    }
    if (options.is_delta) {
        return "option --delta is set";
    }
    if (!now.is_online || !prior.is_online) {
        return "this backup or the prior one is of a stopped server";
    }
    if (prior.data_checksum_version != now.data_checksum_version) {
        return "data checksums were switched";
    }
    return {};
}

WalChanges ask(const BackupOptions& options,
               const repository::ManifestHeader& prior,
               const repository::ManifestHeader& now,
               postgres::Session& session)
{
    WalChangesRequest request;
    request.data_directory = options.data_directory;
    request.prior_timeline = prior.timeline;
    request.prior_start = prior.start_lsn;
    request.prior_stop = prior.stop_lsn;
    request.timeline = now.timeline;
    request.start = now.start_lsn;
    request.timeout_milliseconds = options.archive_timeout_milliseconds;
    return read_wal_changes(request, session);
}

// Hint bits are logged where there are data checksums (wal_log_hints may have been switched since).
// Two servers still differ in those of which only the first of a checkpoint is.
bool are_hints_logged(const repository::ManifestHeader& prior,
                      const repository::ManifestHeader& now,
                      postgres::Session& session)
{
    return now.data_checksum_version != 0 && prior.timeline == now.timeline &&
           prior.backup_label.find("BACKUP FROM: primary\n") != std::string::npos &&
           !session.is_in_recovery();
}

// Whether somebody who runs this server would expect its summaries to be used.
bool is_missed(const BackupOptions& options, postgres::Session& session)
{
    return options.change_tracking == ChangeTracking::summary ||
           (session.major() >= kSummariesSince && session.setting("summarize_wal") == "on");
}

} // namespace

KnownChanges find_changes(const BackupOptions& options,
                          const repository::ManifestHeader& prior,
                          const repository::ManifestHeader& now,
                          postgres::Session* session)
{
    std::string reason = reason_not_to_ask(options, prior, now);
    KnownChanges known;
    log::Level level = log::Level::info;
    if (reason.empty()) {
        WalChanges changes = ask(options, prior, now, *session);
        if (changes.blocks) {
            log::info("change tracking: of the relation files that were touched only the pages are "
                      "read that {} WAL summaries name",
                      changes.files);
            known.blocks = std::move(changes.blocks);
            known.audit.start = now.start_lsn;
            known.audit.prior_start = prior.start_lsn;
            known.audit.copy_time = now.copy_time;
            known.audit.hints_are_logged = are_hints_logged(prior, now, *session);
            return known;
        }
        reason = std::move(changes.reason);
        level = is_missed(options, *session) ? log::Level::warn : log::Level::info;
    }
    log::write(level,
               fmt::format("change tracking: all files that were touched are read: {}", reason));
    return known;
}

} // namespace pgstrata::engine
