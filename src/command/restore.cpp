// SPDX-License-Identifier: PostgreSQL
#include "command/locks.hpp"
#include "command/output.hpp"
#include "command/restore_plan_text.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/restore_plan.hpp"
#include "pgstrata/engine/spool.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/size.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace pgstrata::command {

namespace {

using config::Config;
using repository::RecoveryTarget;
using repository::RecoveryType;

struct TypeRow {
    std::string_view name;
    RecoveryType type;
};

constexpr std::array<TypeRow, 9> kTypes = {{{"default", RecoveryType::standard},
                                            {"immediate", RecoveryType::immediate},
                                            {"lsn", RecoveryType::lsn},
                                            {"name", RecoveryType::name},
                                            {"time", RecoveryType::time},
                                            {"xid", RecoveryType::xid},
                                            {"preserve", RecoveryType::preserve},
                                            {"standby", RecoveryType::standby},
                                            {"none", RecoveryType::none}}};

RecoveryType recovery_type(const Config& config)
{
    return std::ranges::find(kTypes, config.text("type"), &TypeRow::name)->type;
}

// "3" or "0x3".
postgres::Timeline parse_timeline(const std::string& text)
{
    const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
    const char* begin = text.data() + (is_hex ? 2 : 0);
    const char* end = text.data() + text.size();
    postgres::Timeline timeline = 0;
    const auto [stop, failure] = std::from_chars(begin, end, timeline, is_hex ? 16 : 10);
    if (failure != std::errc() || stop != end || timeline == 0) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' is not valid for 'target-timeline' option", text),
                    "allowed: a number such as 2 or 0x1A, 'current' or 'latest'");
    }
    return timeline;
}

void read_timeline_choice(const std::string& text, RecoveryTarget& target)
{
    if (text.empty()) {
        target.follow = RecoveryTarget::Follow::newest;
    } else if (text == "latest") {
        target.follow = RecoveryTarget::Follow::latest;
    } else if (text == "current") {
        target.follow = RecoveryTarget::Follow::current;
    } else {
        target.follow = RecoveryTarget::Follow::number;
        target.timeline = parse_timeline(text);
    }
}

// The empty string when the backup is to be chosen.
std::string named_backup(const Config& config)
{
    const std::string& set = config.text("set");
    return set == "latest" ? "" : set;
}

[[noreturn]] void raise_unknown_time(const std::string& text)
{
    throw Error(
        ErrorCode::format,
        fmt::format("automatic backup set selection cannot be performed with provided time '{}'",
                    text),
        "time format must be YYYY-MM-DD HH:MM:SS with optional fraction and timezone, such as "
        "'2026-11-21 14:00:00+00'; or name the backup with --set");
}

// PostgreSQL would take a word as transaction 0 and recover past all there is, and would not start
// with a longer name.
void check_target(const RecoveryTarget& target, const std::string& text)
{
    constexpr std::size_t kMaxDigits = 20;
    constexpr std::size_t kMaxName = 63;
    const bool is_number =
        text.size() <= kMaxDigits && text.find_first_not_of("0123456789") == std::string::npos;
    if (target.type == RecoveryType::xid && !is_number) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' is not valid for 'target' option", text),
                    "an xid is a number, such as 48211");
    }
    if (target.type == RecoveryType::name && text.size() > kMaxName) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' is not valid for 'target' option", text),
                    fmt::format("the name of a restore point has at most {} bytes", kMaxName));
    }
}

RecoveryTarget recovery_target(const Config& config)
{
    RecoveryTarget target;
    target.type = recovery_type(config);
    target.is_exclusive = config.has("target-exclusive") && config.flag("target-exclusive");
    read_timeline_choice(config.text("target-timeline"), target);
    const std::string& text = config.text("target");
    if (target.type == RecoveryType::time) {
        target.time = parse_timestamp_microseconds(text);
        if (!target.time && named_backup(config).empty()) {
            raise_unknown_time(text);
        }
    } else if (target.type == RecoveryType::lsn) {
        const auto lsn = postgres::parse_lsn(text);
        if (!lsn) {
            throw Error(ErrorCode::format,
                        fmt::format("'{}' is not valid for 'target' option", text),
                        "an lsn looks like 16/B374D848");
        }
        target.lsn = *lsn;
    }
    check_target(target, text);
    return target;
}

// Words that a shell would take apart are put in single quotes.
std::string quote_word(const std::string& word)
{
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("-_=./,:@+").find(c) != std::string_view::npos;
    };
    if (std::ranges::all_of(word, is_plain)) {
        return word;
    }
    std::string quoted = "'";
    for (const char symbol : word) {
        quoted += symbol == '\'' ? std::string("'\\''") : std::string(1, symbol);
    }
    return quoted + "'";
}

// PostgreSQL puts names where a command has %f or %p, and a single % where it has two.
std::string double_percents(const std::string& text)
{
    std::string doubled;
    for (const char symbol : text) {
        doubled += symbol == '%' ? std::string("%%") : std::string(1, symbol);
    }
    return doubled;
}

// What PostgreSQL calls for each WAL file: this program with the options that this restore was
// given.
std::string restore_command(const Config& config)
{
    std::string command = config.source("cmd") == config::Source::built_in
                              ? quote_word(config.executable())
                              : config.text("cmd");
    for (const std::string& option : config.command_line_options()) {
        command += " " + quote_word(option);
    }
    command = double_percents(command);
    return fmt::format("{} --stanza={} archive-get %f \"%p\"", command, config.text("stanza"));
}

engine::RecoverySettings recovery_settings(const Config& config, const RecoveryTarget& target)
{
    engine::RecoverySettings settings;
    settings.type = recovery_type(config);
    // The server reads a time by its own zone: it gets the instant that was checked here.
    settings.target = config.text("target");
    if (target.time) {
        settings.target = format_timestamp_microseconds(*target.time);
    }
    settings.is_exclusive = config.has("target-exclusive") && config.flag("target-exclusive");
    settings.target_action = config.text("target-action");
    settings.restore_command = restore_command(config);
    settings.is_archive_off = config.text("archive-mode") == "off";
    settings.options = config.pairs("recovery-option");
    return settings;
}

engine::LayoutOptions layout_options(const Config& config)
{
    engine::LayoutOptions layout;
    layout.data_directory = config.text("pg-path", config.pg_indexes().front());
    layout.tablespace_map = config.pairs("tablespace-map");
    layout.tablespace_map_all = config.text("tablespace-map-all");
    layout.link_map = config.pairs("link-map");
    layout.link_all = config.flag("link-all");
    layout.db_include = config.list("db-include");
    layout.db_exclude = config.list("db-exclude");
    return layout;
}

engine::RestoreOptions restore_options(const Config& config)
{
    engine::RestoreOptions options;
    options.stanza = config.text("stanza");
    options.layout = layout_options(config);
    options.set = named_backup(config);
    options.target = recovery_target(config);
    options.settings = recovery_settings(config, options.target);
    options.is_type_given = config.source("type") != config::Source::built_in;
    options.is_forced = config.flag("force");
    options.is_delta = config.flag("delta");
    options.workers = static_cast<std::size_t>(config.number("process-max"));
    return options;
}

struct OpenedSources {
    std::vector<OpenedRepository> repositories;
    std::vector<engine::RestoreSource> sources; // they point into `repositories`
    std::string failures;                       // of the repositories that cannot be used
};

// With one repository its own error is the answer; of several, those that cannot be opened are
// passed over.
OpenedSources open_sources(const Config& config, const std::vector<unsigned>& repos)
{
    OpenedSources opened;
    const auto open = [&](unsigned index) {
        opened.repositories.push_back(open_repository(config, index));
        opened.sources.push_back({index, opened.repositories.back().repository.get()});
    };
    if (repos.size() == 1) {
        open(repos.front());
        return opened;
    }
    opened.failures = try_repositories(repos, open);
    if (opened.sources.empty()) {
        raise_no_repository(opened.failures);
    }
    if (!opened.failures.empty()) {
        log::warn("unable to use every repository:{}", opened.failures);
    }
    return opened;
}

// What waits for the cluster that is being replaced, or says something about it, is of no use to
// the new one. None of it would be believed: that it cannot be removed is no reason not to restore.
void forget_spool(const Config& config)
{
    try {
        engine::clear_spool(config.text("spool-path"), config.text("stanza"));
    } catch (const Error& error) {
        log::warn("unable to clear the spool: {}", error.what());
    }
}

// Prints what a restore would do and ends as it would. It takes no lock: it changes nothing.
void show_plan(const engine::RestoreOptions& options, const OpenedSources& opened)
{
    const engine::RestorePlan plan =
        engine::plan_restore(options, opened.sources, engine::OnProblem::go_on);
    print_printable(render_restore_plan(options, plan, opened.failures));
    if (!plan.problems.empty()) {
        throw Error(plan.problems.front());
    }
}

} // namespace

int run_restore(const Config& config)
{
    const engine::RestoreOptions options = restore_options(config);
    const std::vector<unsigned> repos = chosen_repositories(config);
    if (config.flag("dry-run")) {
        show_plan(options, open_sources(config, repos));
        return 0;
    }
    const auto lock = take_locks(config, {engine::LockType::restore}, repos);
    const OpenedSources opened = open_sources(config, repos);
    const engine::RestorePlan plan =
        engine::plan_restore(options, opened.sources, engine::OnProblem::fail);
    forget_spool(config);
    const engine::RestoreReport report =
        engine::carry_out(options, plan, [&](std::uint64_t size, std::uint64_t done) {
            lock->update_progress(size, done);
        });
    if (report.is_delta) {
        log::info("delta: {} read, {} kept, {} fetched",
                  format_size(report.bytes_compared),
                  format_size(report.bytes_kept),
                  format_size(report.bytes_fetched));
    }
    log::info("restore size = {}, file total = {}", format_size(report.bytes), report.files);
    return 0;
}

} // namespace pgstrata::command
