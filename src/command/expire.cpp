// SPDX-License-Identifier: PostgreSQL
#include "command/expire.hpp"

#include "command/locks.hpp"
#include "command/retention_policy.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/engine/expire.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/hex.hpp"

#include <algorithm>

namespace pgstrata::command {

namespace {

constexpr std::size_t kSegmentDigits = 24;

repository::RetentionRequest expire_request(const config::Config& config)
{
    repository::RetentionRequest request;
    request.set = config.text("set");
    request.is_oldest = config.flag("oldest");
    request.archive_before = config.text("archive-expire-before");
    if (!request.set.empty() && !repository::parse_backup_label(request.set)) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' is not a valid backup label format", request.set),
                    "a label looks like 20261121-020000F; info lists them");
    }
    if (!request.set.empty() && request.is_oldest) {
        throw Error(ErrorCode::option_invalid,
                    "option 'oldest' not valid with option 'set'",
                    "give one of them");
    }
    const std::string& before = request.archive_before;
    if (!before.empty() && (before.size() != kSegmentDigits || !is_upper_hex(before))) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' is not valid for 'archive-expire-before' option", before),
                    "it is the name of a WAL segment, such as 000000010000000000000002");
    }
    return request;
}

} // namespace

std::vector<ExpireTarget> expire_targets(const config::Config& config)
{
    std::vector<ExpireTarget> targets;
    for (const unsigned index : chosen_repositories(config)) {
        targets.push_back({index, retention_policy(config, index)});
    }
    return targets;
}

void expire_repositories(const config::Config& config,
                         const std::vector<ExpireTarget>& targets,
                         const repository::RetentionRequest& request)
{
    bool is_any_open = false;
    bool has_set = false;
    const std::string failures = try_repositories(chosen_repositories(config), [&](unsigned index) {
        const OpenedRepository opened = open_repository(config, index);
        is_any_open = true;
        engine::ExpireOptions options;
        options.stanza = config.text("stanza");
        options.policy = std::ranges::find(targets, index, &ExpireTarget::index)->policy;
        options.request = request;
        options.repo_index = index;
        options.is_dry_run = config.flag("dry-run");
        engine::current_cluster(*opened.repository, options.stanza);
        has_set = engine::expire(options, *opened.repository).has_set || has_set;
    });
    if (!is_any_open) {
        raise_no_repository(failures);
    }
    if (!failures.empty()) {
        throw Error(ErrorCode::command, "expire command encountered error(s):" + failures);
    }
    if (!request.set.empty() && !has_set) {
        log::warn("backup {} does not exist\n"
                  "HINT: run the info command and confirm the backup is listed.",
                  request.set);
    }
}

int run_expire(const config::Config& config)
{
    const repository::RetentionRequest request = expire_request(config);
    const std::vector<ExpireTarget> targets = expire_targets(config);
    const auto lock =
        take_locks_unless_stopped(config, {engine::LockType::backup}, chosen_repositories(config));
    expire_repositories(config, targets, request);
    return 0;
}

} // namespace pgstrata::command
