// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/backup.hpp"

#include "command/expire.hpp"
#include "command/locks.hpp"
#include "command/retention_policy.hpp"
#include "command/server.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/backup_source.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/identity.hpp"
#include "pgstrata/util/size.hpp"

#include <algorithm>

namespace pgstrata::command {

namespace {

// The option table has checked the words.
repository::BackupType backup_type(const std::string& word)
{
    using repository::BackupType;
    return word == "full" ? BackupType::full : word == "diff" ? BackupType::diff : BackupType::incr;
}

engine::ChangeTracking change_tracking(const std::string& word)
{
    using engine::ChangeTracking;
    return word == "scan"      ? ChangeTracking::scan
           : word == "summary" ? ChangeTracking::summary
                               : ChangeTracking::automatic;
}

engine::BackupOptions backup_options(const config::Config& config, unsigned repo_index)
{
    engine::BackupOptions options;
    options.stanza = config.text("stanza");
    options.type = backup_type(config.text("type"));
    options.is_delta = config.flag("delta");
    options.change_tracking = change_tracking(config.text("change-tracking"));
    options.can_resume = config.flag("resume");
    options.repo_index = repo_index;
    options.start_fast = config.flag("start-fast");
    options.check_archive = config.flag("archive-check");
    options.copy_archive = config.flag("archive-copy");
    options.archive_timeout_milliseconds =
        static_cast<std::uint64_t>(config.number("archive-timeout"));
    options.spool_path = config.text("spool-path");
    options.lock_path = config.text("lock-path");
    if (config.has("checksum-page")) {
        options.check_pages = config.flag("checksum-page");
    }
    options.check_page_headers = config.flag("page-header-check");
    options.exclude = config.list("exclude");
    for (const auto& [key, value] : config.pairs("annotation")) {
        if (!value.empty()) {
            options.annotations.emplace(key, value);
        }
    }
    options.schedule = config.text("schedule");
    options.retain = seconds_of(config, "retain");
    if (config.text("compress-type") != "none") {
        options.compress_level = static_cast<int>(config.number("compress-level"));
    }
    options.pack_size = static_cast<std::uint64_t>(config.number("repo-pack-size", repo_index));
    options.workers = static_cast<std::size_t>(config.number("process-max"));
    options.is_forced = config.flag("force");
    options.lock_wait_milliseconds = static_cast<std::uint64_t>(config.number("lock-wait"));
    return options;
}

// Whose files are copied, and who writes WAL.
struct BackupSource {
    std::vector<FoundServer> servers; // none when the server is stopped
    unsigned index = 0;               // 0: the default pg
    std::optional<unsigned> primary;

    postgres::Session* session(unsigned number) const
    {
        const auto found = std::ranges::find(servers, number, &FoundServer::index);
        return found == servers.end() ? nullptr : found->session.get();
    }
    engine::BackupServers sessions() const
    {
        return {session(index), primary ? session(*primary) : nullptr};
    }
};

engine::StandbyUse standby_use(const config::Config& config)
{
    const std::string& word = config.text("backup-standby");
    return word == "y"        ? engine::StandbyUse::required
           : word == "prefer" ? engine::StandbyUse::preferred
                              : engine::StandbyUse::never;
}

BackupSource find_source(const config::Config& config)
{
    BackupSource source;
    if (!config.flag("online")) {
        return source;
    }
    source.servers = find_servers(config);
    if (source.servers.empty()) {
        throw Error(ErrorCode::db_connect,
                    "unable to find primary cluster: no server could be connected to",
                    "is the server running, and are pg1-path, pg1-port and pg1-socket-path right? "
                    "--no-online backs up a stopped one");
    }
    std::vector<engine::ServerState> states;
    for (const FoundServer& server : source.servers) {
        if (server.control.system_identifier != source.servers.front().control.system_identifier) {
            raise(ErrorCode::db_mismatch,
                  "pg{} and pg{} are not of one cluster",
                  source.servers.front().index,
                  server.index);
        }
        states.push_back({server.index, server.is_in_recovery, server.session->current_lsn()});
    }
    const engine::StandbyUse use = standby_use(config);
    const engine::SourceChoice choice = engine::choose_source(states, use);
    source.index = choice.source;
    source.primary = choice.primary;
    if (choice.is_standby) {
        log::info("the backup is taken from the standby pg{}", choice.source);
    } else if (use == engine::StandbyUse::preferred) {
        log::warn("there is no standby, the backup is taken from the primary pg{}", choice.source);
    }
    return source;
}

// A word that no repository knows the life of may be a mistake.
void check_schedule(const config::Config& config, const std::vector<ExpireTarget>& targets)
{
    const std::string& name = config.text("schedule");
    if (!name.empty() && !is_schedule_name(name)) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' is not valid for 'schedule' option", name),
                    "a name has letters, digits, '-' and '_' only");
    }
    for (const ExpireTarget& target : targets) {
        if (!name.empty() && !target.policy.schedules.empty() &&
            !target.policy.schedules.contains(name)) {
            log::warn("option 'repo{}-retention-schedule' does not say how long backups of the "
                      "schedule '{}' live, the other rules apply to them",
                      target.index,
                      name);
        }
    }
}

void expire_after(const config::Config& config,
                  const std::vector<ExpireTarget>& targets,
                  const std::string& label)
{
    if (!config.flag("expire-auto")) {
        return;
    }
    try {
        expire_repositories(config, targets, {});
    } catch (const Error& error) {
        if (error.code() == ErrorCode::terminated) {
            throw;
        }
        throw error.within(
            fmt::format("backup {} is complete and good, but the expire after it failed", label));
    }
}

void report(const repository::BackupSummary& summary, unsigned repo_index)
{
    log::info("{} backup {} is complete in repo{}: {} in the repository",
              repository::to_string(summary.type),
              summary.label,
              repo_index,
              format_size(summary.repository_delta + summary.manifest_size));
    log::info("{} backup size = {}, file total = {}",
              repository::to_string(summary.type),
              format_size(summary.delta),
              summary.files);
}

// A repository without copies of what opens it can still be backed up to.
void make_missing_copies(const OpenedRepository& opened, const std::string& stanza)
{
    try {
        repository::make_missing_copies(*opened.storage);
        for (const auto id : repository::list_archive_ids(*opened.repository, stanza)) {
            repository::make_missing_copy(*opened.repository, stanza, id);
        }
    } catch (const Error& error) {
        if (error.code() == ErrorCode::terminated) {
            throw;
        }
        log::warn("the repository's identity, keys and clusters could not be copied: {}",
                  error.what());
    }
}

} // namespace

int run_backup(const config::Config& config)
{
    const auto lock =
        take_locks_unless_stopped(config, {engine::LockType::backup}, chosen_repositories(config));
    const std::vector<ExpireTarget> targets = expire_targets(config);
    check_schedule(config, targets);
    const OpenedRepository opened = open_repository(config, single_repository(config));
    make_missing_copies(opened, config.text("stanza"));
    const BackupSource source = find_source(config);
    engine::BackupOptions options = backup_options(config, opened.index);
    options.data_directory = config.text("pg-path", source.index);
    if (postgres::Session* session = source.session(source.index)) {
        warn_of_late_checkpoint(config, *session);
    }
    const repository::BackupSummary summary = engine::make_backup(
        options,
        *opened.repository,
        source.sessions(),
        [&](std::uint64_t size, std::uint64_t done) { lock->update_progress(size, done); });
    report(summary, opened.index);
    expire_after(config, targets, summary.label);
    return 0;
}

} // namespace pgstrata::command
