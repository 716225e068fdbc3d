// SPDX-License-Identifier: PostgreSQL
#include "command/archive_push.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/size.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace pgstrata::command {

bool is_same_directory(const std::string& left, const std::string& right)
{
    struct stat here {};
    struct stat there {};
    return ::stat(left.c_str(), &here) == 0 && ::stat(right.c_str(), &there) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

std::string wal_path(const config::Config& config)
{
    const std::string& path = config.parameters().front();
    if (path.starts_with('/')) {
        return path;
    }
    if (!config.has("pg-path")) {
        throw Error(ErrorCode::option_required,
                    fmt::format("option 'pg1-path' is needed for the relative WAL path '{}'", path),
                    "does archive_command pass %f instead of %p?");
    }
    // PostgreSQL calls archive_command in its data directory: from anywhere else the name may be
    // another cluster's.
    const std::string& directory = config.text("pg-path");
    if (!is_same_directory(".", directory)) {
        throw Error(
            ErrorCode::option_invalid_value,
            fmt::format(
                "the working directory is not the pg1-path '{}', and the WAL path '{}' is relative",
                directory,
                path),
            "is pg1-path the data_directory of the server that archives?");
    }
    return join_path(directory, path);
}

engine::PushOptions push_options(const config::Config& config)
{
    engine::PushOptions options;
    options.stanza = config.text("stanza");
    options.check_header = config.flag("archive-header-check");
    options.warn_duplicates = config.flag("archive-mode-check");
    options.workers = static_cast<std::size_t>(config.number("process-max"));
    if (config.text("compress-type") != "none") {
        options.compress_level = static_cast<int>(config.number("compress-level"));
    }
    return options;
}

std::optional<std::uint64_t> queue_limit(const config::Config& config)
{
    return config.has("archive-push-queue-max")
               ? std::optional(static_cast<std::uint64_t>(config.number("archive-push-queue-max")))
               : std::nullopt;
}

bool is_ready(const std::string& path)
{
    const std::string mark =
        fmt::format("{}/archive_status/{}.ready", parent_path(path), file_name(path));
    return ::access(mark.c_str(), F_OK) == 0;
}

PushTargets open_push_targets(const config::Config& config, Patience patience)
{
    struct Attempt {
        OpenedRepository repository;
        std::optional<repository::Cluster> cluster; // where it succeeded
        std::string failure;
    };
    const std::vector<unsigned> indexes = config.repo_indexes();
    std::vector<Attempt> attempts(indexes.size());
    // Side by side, since they wait for their stores; without any thread when there is one.
    parallel_for_each(indexes.size(), indexes.size(), [&](std::size_t i) {
        Attempt& attempt = attempts[i];
        attempt.failure = try_repositories({indexes[i]}, [&](unsigned index) {
            attempt.repository =
                open_repository(config, index, RepositoryAccess::existing, patience);
            attempt.cluster =
                engine::current_cluster(*attempt.repository.repository, config.text("stanza"));
        });
    });
    PushTargets opened;
    for (Attempt& attempt : attempts) {
        opened.failures += attempt.failure;
        if (attempt.cluster) {
            opened.targets.push_back(
                {attempt.repository.index, attempt.repository.repository.get(), *attempt.cluster});
            opened.repositories.push_back(std::move(attempt.repository));
        }
    }
    return opened;
}

namespace {

// Without pg1-path nobody knows which of them is the right one.
void refuse_different_clusters(const std::vector<engine::PushTarget>& targets)
{
    const repository::Cluster& first = targets.front().cluster;
    for (const engine::PushTarget& target : targets) {
        if (target.cluster.system_identifier != first.system_identifier ||
            target.cluster.id.major != first.id.major) {
            throw Error(ErrorCode::archive_mismatch,
                        fmt::format("the stanza is of different clusters in repo{} and repo{}",
                                    targets.front().index,
                                    target.index),
                        "has stanza-upgrade been run for both?");
        }
    }
}

} // namespace

// WAL of another cluster must not get in, whatever the other repositories say, and they get it,
// whatever this one says.
void exclude_other_clusters(const config::Config& config, PushTargets& opened)
{
    if (!config.has("pg-path")) {
        refuse_different_clusters(opened.targets);
        return;
    }
    const auto control = postgres::read_control_file(config.text("pg-path")).control;
    const auto check = [&](const engine::PushTarget& target) {
        engine::check_identity(control, target.cluster, ErrorCode::archive_mismatch);
    };
    std::vector<engine::PushTarget> fitting;
    std::string mismatches;
    for (const engine::PushTarget& target : opened.targets) {
        const std::string mismatch =
            try_repositories({target.index}, [&](unsigned) { check(target); });
        if (mismatch.empty()) {
            fitting.push_back(target);
        }
        mismatches += mismatch;
    }
    if (fitting.empty()) {
        check(opened.targets.front()); // throws
    }
    opened.targets = std::move(fitting);
    opened.failures += mismatches;
}

std::string push_file(const engine::PushOptions& options, const PushTargets& opened)
{
    std::string failures = opened.failures;
    for (const engine::PushFailure& failure : engine::push_wal(options, opened.targets)) {
        failures += "\n" + describe_failure(failure.index, failure.error);
    }
    return failures;
}

void refuse_failures(const std::string& failures)
{
    if (!failures.empty()) {
        throw Error(ErrorCode::command,
                    "archive-push command encountered error(s):" + failures,
                    "PostgreSQL keeps the file and tries again");
    }
}

namespace {

bool is_to_be_dropped(const config::Config& config, const std::string& path)
{
    const auto limit = queue_limit(config);
    return limit && is_ready(path) &&
           engine::is_queue_full(engine::list_ready(parent_path(path), ""), limit);
}

void push_now(const config::Config& config, const std::string& path)
{
    const std::string name(file_name(path));
    if (is_to_be_dropped(config, path)) {
        drop_wal(config, name);
        log::warn("dropped WAL file '{}' because archive queue exceeded {}",
                  name,
                  format_size(*queue_limit(config)));
        return;
    }
    engine::PushOptions options = push_options(config);
    options.path = path;
    PushTargets opened = open_push_targets(config);
    if (opened.targets.empty()) {
        raise_no_repository(opened.failures);
    }
    exclude_other_clusters(config, opened);
    const std::string failures = push_file(options, opened);
    record_gaps(config, push_spool(config), [&]() -> const PushTargets& { return opened; });
    refuse_failures(failures);
    log::info("pushed WAL file '{}' to the archive", name);
}

} // namespace

int run_archive_push(const config::Config& config)
{
    engine::check_stop_file(config.text("lock-path"), config.text("stanza"));
    if (config.role() == config::Role::async) {
        return push_in_background(config);
    }
    const std::string path = wal_path(config);
    if (!config.flag("archive-async") || !push_through_spool(config, path)) {
        push_now(config, path);
    }
    return 0;
}

} // namespace pgstrata::command
