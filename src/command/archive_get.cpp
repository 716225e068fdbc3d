// SPDX-License-Identifier: PostgreSQL
#include "command/archive_get.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/util/path.hpp"

#include <unistd.h>

#include <algorithm>

namespace pgstrata::command {

namespace {

constexpr int kNotFound = 1;

// Without its backup_label a restored cluster would replay from the wrong place: it must not get
// WAL for that.
void check_label(const std::string& data_directory, const postgres::ControlFile& control)
{
    const std::string label = join_path(data_directory, "backup_label");
    if (control.checkpoint == postgres::kPoisonCheckpoint && ::access(label.c_str(), F_OK) != 0) {
        throw Error(
            ErrorCode::format,
            fmt::format("pg_control in '{}' is of a restored backup whose backup_label is missing",
                        data_directory),
            "restore the backup again and keep its backup_label");
    }
}

// A stanza that never was created, or is another cluster's, proves nothing about what is in the
// archive.
void check_stanza(const repository::Repository& repository,
                  const std::string& stanza,
                  const postgres::ControlFile& control)
{
    const repository::Cluster current = engine::current_cluster(repository, stanza);
    const auto clusters = repository::list_clusters(repository, stanza);
    const bool is_known = std::ranges::any_of(clusters, [&](const repository::Cluster& cluster) {
        return engine::is_same_cluster(control, cluster);
    });
    if (!is_known) {
        engine::check_identity(control, current, ErrorCode::archive_mismatch);
    }
}

} // namespace

GetRepositories open_get_sources(const config::Config& config, const postgres::ControlFile& control)
{
    GetRepositories opened;
    opened.failures = try_repositories(chosen_repositories(config), [&](unsigned index) {
        OpenedRepository repository = open_repository(config, index);
        check_stanza(*repository.repository, config.text("stanza"), control);
        opened.sources.push_back({index, repository.repository.get()});
        opened.repositories.push_back(std::move(repository));
    });
    if (opened.sources.empty()) {
        raise_no_repository(opened.failures);
    }
    if (!opened.failures.empty()) {
        log::warn("unable to use every repository:{}", opened.failures);
    }
    return opened;
}

std::optional<std::string> get_file(const GetRepositories& opened,
                                    const engine::GetOptions& options,
                                    const postgres::ControlFile& control)
{
    auto digest = engine::fetch_wal(options, control, opened.sources);
    if (!digest && !opened.failures.empty()) {
        throw Error(
            ErrorCode::repo_invalid,
            fmt::format("unable to get {}: not every repository could be asked:{}",
                        options.wal_name,
                        opened.failures),
            "when that repository is gone for good, restore with --repo=N and only N is asked");
    }
    return digest;
}

namespace {

bool get(const config::Config& config,
         const engine::GetOptions& options,
         const postgres::ControlFile& control)
{
    const bool is_queued =
        config.flag("archive-async") &&
        postgres::parse_wal_file_name(options.wal_name)->kind == postgres::WalFileKind::segment;
    const QueueAnswer answer =
        is_queued ? ask_queue(config, options, control) : QueueAnswer::unknown;
    const bool is_there =
        answer == QueueAnswer::taken ||
        (answer == QueueAnswer::unknown &&
         get_file(open_get_sources(config, control), options, control).has_value());
    if (is_queued && is_there) {
        fill_queue(config, options.wal_name, control);
    }
    return is_there;
}

} // namespace

int run_archive_get(const config::Config& config)
{
    engine::GetOptions options;
    options.stanza = config.text("stanza");
    options.wal_name = config.parameters().at(0);
    if (!postgres::parse_wal_file_name(options.wal_name)) {
        raise(ErrorCode::parameter_invalid, "'{}' is not the name of a WAL file", options.wal_name);
    }
    const std::string& data_directory = config.text("pg-path");
    const auto control = postgres::read_control_file(data_directory).control;
    check_label(data_directory, control);
    if (config.role() == config::Role::async) {
        return get_in_background(config, control);
    }
    options.destination = config.parameters().at(1);
    if (!get(config, options, control)) {
        log::info("unable to find {} in the archive", options.wal_name);
        return kNotFound;
    }
    return 0;
}

} // namespace pgstrata::command
