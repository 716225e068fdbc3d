// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/backup.hpp"

#include "command/server.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/log/log.hpp"
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
    options.data_directory = config.text("pg-path");
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
    if (config.text("compress-type") != "none") {
        options.compress_level = static_cast<int>(config.number("compress-level"));
    }
    options.pack_size = static_cast<std::uint64_t>(config.number("repo-pack-size", repo_index));
    options.workers = static_cast<std::size_t>(config.number("process-max"));
    options.is_forced = config.flag("force");
    return options;
}

std::unique_ptr<postgres::Session> open_session(const config::Config& config)
{
    if (!config.flag("online")) {
        return nullptr;
    }
    auto session = connect_server(config);
    const engine::ServerExpectation expected = server_expectation(config);
    engine::check_server(
        *session, postgres::read_control_file(expected.data_directory).control, expected);
    return session;
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
              format_size(summary.size),
              summary.files);
}

} // namespace

int run_backup(const config::Config& config)
{
    const std::string& stanza = config.text("stanza");
    engine::check_stop_file(config.text("lock-path"), stanza);
    engine::LocalLock lock({config.text("lock-path"),
                            stanza,
                            {engine::LockType::backup},
                            chosen_repositories(config)});
    const OpenedRepository opened = open_repository(config, single_repository(config));
    const auto session = open_session(config);
    const repository::BackupSummary summary = engine::make_backup(
        backup_options(config, opened.index),
        *opened.repository,
        session.get(),
        [&](std::uint64_t size, std::uint64_t done) { lock.update_progress(size, done); });
    report(summary, opened.index);
    return 0;
}

} // namespace pgstrata::command
