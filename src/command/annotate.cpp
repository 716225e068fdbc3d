// SPDX-License-Identifier: PostgreSQL
#include "command/locks.hpp"
#include "command/retention_policy.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/notes.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/process.hpp"

namespace pgstrata::command {

namespace {

void check_label(const std::string& label)
{
    if (!repository::parse_backup_label(label)) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' is not valid for 'set' option", label),
                    "a label looks like 20261121-020000F; info lists them");
    }
}

repository::BackupNote make_note(const config::Config& config)
{
    repository::BackupNote note;
    for (const auto& [key, value] : config.pairs("annotation")) {
        note.annotations[key] = value;
    }
    if (config.flag("pin") && config.flag("unpin")) {
        throw Error(ErrorCode::option_invalid,
                    "option 'unpin' not valid with option 'pin'",
                    "give one of them");
    }
    if (config.flag("pin") || config.flag("unpin")) {
        note.is_pinned = config.flag("pin");
    }
    if (config.has("retain")) {
        note.retain = seconds_of(config, "retain");
    }
    if (note.annotations.empty() && !note.is_pinned && !note.retain) {
        throw Error(ErrorCode::option_required,
                    "annotate command requires option: annotation",
                    "--annotation=KEY=VALUE, --pin, --unpin or --retain=TIME");
    }
    note.time = now_seconds();
    note.host = host_name();
    return note;
}

// False when the repository does not have the backup.
bool annotate(const OpenedRepository& opened,
              const std::string& stanza,
              const std::string& label,
              const repository::BackupNote& note)
{
    if (!repository::read_summary(*opened.repository, stanza, label)) {
        log::warn("backup set '{}' to annotate not found in repo{}", label, opened.index);
        return false;
    }
    log::info("backup set '{}' to annotate found in repo{}", label, opened.index);
    try {
        repository::write_note(*opened.repository, stanza, label, note);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::backup_set_invalid) {
            throw;
        }
        log::warn("repo{}: {}", opened.index, error.what());
        return false;
    }
    return true;
}

} // namespace

int run_annotate(const config::Config& config)
{
    const std::string& stanza = config.text("stanza");
    const std::string& label = config.text("set");
    check_label(label);
    const repository::BackupNote note = make_note(config);
    const std::vector<unsigned> repos = chosen_repositories(config);
    const auto lock = take_locks(config, {engine::LockType::backup}, repos);
    bool is_found = false;
    const std::string failures = try_repositories(repos, [&](unsigned index) {
        is_found = annotate(open_repository(config, index), stanza, label, note) || is_found;
    });
    if (!failures.empty()) {
        throw Error(ErrorCode::command, "annotate command encountered error(s):" + failures);
    }
    if (!is_found) {
        throw Error(ErrorCode::backup_set_invalid,
                    fmt::format("no backup set '{}' to annotate found", label),
                    "info lists the backups");
    }
    return 0;
}

} // namespace pgstrata::command
