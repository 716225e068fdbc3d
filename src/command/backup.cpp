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

constexpr const char* kFullHint = "use --type=full";

engine::BackupOptions backup_options(const config::Config& config, unsigned repo_index)
{
    engine::BackupOptions options;
    options.stanza = config.text("stanza");
    options.data_directory = config.text("pg-path");
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

// Asked for diff or incr we refuse; when nothing is asked for, incr becomes full as long as there
// is nothing that it could build on.
void check_type(const config::Config& config)
{
    const std::string& type = config.text("type");
    if (type != "full" && config.source("type") != config::Source::built_in) {
        throw Error(ErrorCode::feature_not_supported,
                    fmt::format("option 'type' set to '{}' is not supported yet", type),
                    kFullHint);
    }
}

void check_default_type(const config::Config& config, const repository::Repository& repository)
{
    const std::string& type = config.text("type");
    if (type == "full") {
        return;
    }
    const std::string& stanza = config.text("stanza");
    const repository::Cluster cluster = engine::current_cluster(repository, stanza);
    const auto backups = repository::list_backups(repository, stanza);
    if (std::ranges::count(backups, cluster.id, &repository::BackupSummary::archive_id) > 0) {
        throw Error(ErrorCode::feature_not_supported,
                    fmt::format("a backup of the default type '{}' is not supported yet", type),
                    kFullHint);
    }
    log::warn("no prior backup exists, {} backup has been changed to full", type);
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
    check_type(config);
    const std::string& stanza = config.text("stanza");
    engine::check_stop_file(config.text("lock-path"), stanza);
    engine::LocalLock lock({config.text("lock-path"),
                            stanza,
                            {engine::LockType::backup},
                            chosen_repositories(config)});
    const OpenedRepository opened = open_repository(config, single_repository(config));
    check_default_type(config, *opened.repository);
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
