// SPDX-License-Identifier: PostgreSQL
#include "config/config_builder.hpp"
#include "config/option_name.hpp"
#include "config/option_text.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/parallel.hpp"

#include <algorithm>
#include <map>

namespace pgstrata::config {

namespace {

constexpr std::size_t kMostDefaultWorkers = 4;
constexpr std::int64_t kTimeoutGap = 30000;
constexpr std::string_view kStanzaForbidden = "/:[]= \t\r\n";

// Two repositories with the same one would be in each other's way.
std::string repository_place(const Config& config, unsigned repo)
{
    const std::string& type = config.text("repo-type", repo);
    const std::string& path = config.text("repo-path", repo);
    if (type != "s3") {
        return path;
    }
    return fmt::format("s3://{}/{}{}",
                       config.text("repo-s3-endpoint", repo),
                       config.text("repo-s3-bucket", repo),
                       path);
}

// A certificate for *.HOST does not match a.b.HOST.
void check_bucket_name(const Config& config, unsigned repo)
{
    const std::string& bucket = config.text("repo-s3-bucket", repo);
    if (bucket.find('.') != std::string::npos && config.text("repo-s3-uri-style", repo) == "host" &&
        config.flag("repo-storage-verify-tls", repo)) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("bucket '{}' of repo{} has a dot, which no certificate of the "
                                "store covers",
                                shown(bucket),
                                repo),
                    fmt::format("set 'repo{}-s3-uri-style' to path", repo));
    }
}

bool may_name_stanza(std::string_view name)
{
    const auto is_control = [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; };
    return name.front() != '.' && name != "global" &&
           name.find_first_of(kStanzaForbidden) == std::string_view::npos &&
           std::none_of(name.begin(), name.end(), is_control);
}

} // namespace

void ConfigBuilder::set_derived(std::string_view option,
                                unsigned index,
                                const std::string& text,
                                std::int64_t number)
{
    Value value;
    value.texts = {text};
    value.number = number;
    config_.set(*find_option(option), index, std::move(value));
}

// The name becomes a directory in every repository and a section of the files.
void ConfigBuilder::check_stanza_name() const
{
    if (config_.has("stanza") && !may_name_stanza(config_.text("stanza"))) {
        throw Error(
            ErrorCode::option_invalid_value,
            fmt::format("'{}' cannot be the name of a stanza", shown(config_.text("stanza"))),
            "it must not be 'global', begin with a dot, or hold spaces or one of / : [ ] =");
    }
}

void ConfigBuilder::check_index_choices() const
{
    for (const Group group : {Group::repo, Group::pg}) {
        const std::string_view name = group_name(group);
        const std::vector<unsigned>& indexes = indexes_of(group);
        const auto chosen = static_cast<unsigned>(config_.number(name));
        if (config_.has(name) &&
            std::find(indexes.begin(), indexes.end(), chosen) == indexes.end()) {
            throw Error(
                ErrorCode::option_invalid_value,
                fmt::format(
                    "option '{}' chooses {}{}, which is not configured", name, name, chosen),
                fmt::format("set '{}{}-path'", name, chosen));
        }
    }
}

void ConfigBuilder::derive_defaults()
{
    const auto needs = [&](std::string_view option) {
        const OptionRow& row = *find_option(option);
        return is_valid_for(row, *config_.command_) && config_.find_set(row, 0) == nullptr;
    };
    if (needs("cmd")) {
        set_derived("cmd", 0, config_.executable_, 0);
    }
    if (needs("process-max")) {
        const std::size_t workers = std::min(available_cores(), kMostDefaultWorkers);
        set_derived("process-max", 0, std::to_string(workers), static_cast<std::int64_t>(workers));
    }
}

// Whoever waits for another process has to wait longer than that process waits for the database.
void ConfigBuilder::derive_timeouts()
{
    const std::int64_t database = config_.number("db-timeout");
    const std::int64_t protocol = config_.number("protocol-timeout");
    if (!config_.has("db-timeout") || !config_.has("protocol-timeout") || database < protocol) {
        return;
    }
    const bool has_database = config_.source("db-timeout") != Source::built_in;
    const bool has_protocol = config_.source("protocol-timeout") != Source::built_in;
    if (has_database && has_protocol) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("option 'protocol-timeout' ({}) must be longer than option "
                                "'db-timeout' ({})",
                                config_.text("protocol-timeout"),
                                config_.text("db-timeout")));
    }
    if (has_database) {
        const std::int64_t longer = database + kTimeoutGap;
        set_derived("protocol-timeout", 0, fmt::format("{}ms", longer), longer);
    } else {
        const std::int64_t shorter =
            protocol > 2 * kTimeoutGap ? protocol - kTimeoutGap : protocol / 2;
        set_derived("db-timeout", 0, fmt::format("{}ms", shorter), shorter);
    }
}

// Every algorithm but none is stored as zst. A level meant for another algorithm says nothing about
// zst.
void ConfigBuilder::derive_compression()
{
    const std::string type = config_.text("compress-type");
    if (!config_.has("compress-type") || type == "none" || type == "zst") {
        return;
    }
    const OptionRow& level = *find_option("compress-level");
    const std::string_view text =
        text_for_key(text_for_command(level.default_value, config_.command_->name), "zst");
    set_derived("compress-type", 0, "zst", 0);
    set_derived("compress-level", 0, std::string(text), std::stoll(std::string(text)));
    std::replace(
        config_.notes_.begin(),
        config_.notes_.end(),
        std::string("option 'compress-type' is accepted and has no effect"),
        fmt::format("option 'compress-type' {} is accepted, zst level {} is used", type, text));
}

void ConfigBuilder::derive_archive_retention()
{
    if (!is_valid_for(*find_option("repo-retention-full"), *config_.command_)) {
        return;
    }
    for (const unsigned repo : config_.repo_indexes_) {
        const std::string full = display_name(*find_option("repo-retention-full"), repo);
        if (!config_.has("repo-retention-full", repo) &&
            !config_.has("repo-retention-keep", repo)) {
            config_.warnings_.push_back(fmt::format(
                "option '{0}' is not set, the repository may run out of space\n"
                "HINT: to keep full backups for ever without this warning, set '{0}' to 9999999",
                full));
        }
        if (!config_.has("repo-retention-archive", repo)) {
            derive_archive_retention_of(repo);
        }
    }
}

void ConfigBuilder::derive_archive_retention_of(unsigned repo)
{
    const std::string& type = config_.text("repo-retention-archive-type", repo);
    std::string_view from;
    if (type == "full") {
        // By time it is known only when expire has counted the backups.
        if (config_.text("repo-retention-full-type", repo) == "count") {
            from = "repo-retention-full";
        }
    } else {
        from = type == "diff" ? "repo-retention-diff" : std::string_view();
        if (from.empty() || !config_.has(from, repo)) {
            config_.warnings_.push_back(
                fmt::format("option '{}' is not set for '{}={}', WAL will not expire",
                            display_name(*find_option("repo-retention-archive"), repo),
                            display_name(*find_option("repo-retention-archive-type"), repo),
                            type));
        }
    }
    if (!from.empty() && config_.has(from, repo)) {
        set_derived(
            "repo-retention-archive", repo, config_.text(from, repo), config_.number(from, repo));
    }
}

void ConfigBuilder::check_repository_paths() const
{
    if (!is_valid_for(*find_option("repo-path"), *config_.command_)) {
        return;
    }
    std::map<std::string, unsigned> seen;
    for (const unsigned repo : config_.repo_indexes_) {
        if (config_.text("repo-type", repo) == "s3") {
            check_bucket_name(config_, repo);
        }
        const std::string place = repository_place(config_, repo);
        const auto [other, is_new] = seen.try_emplace(place, repo);
        if (!is_new) {
            throw Error(
                ErrorCode::option_invalid_value,
                fmt::format(
                    "repo{} and repo{} have the same path '{}'", other->second, repo, shown(place)),
                fmt::format("set 'repo{}-path' to another directory", repo));
        }
    }
}

void ConfigBuilder::warn_of_obsolete()
{
    if (config_.source("stop-auto") != Source::built_in) {
        config_.warnings_.emplace_back("option 'stop-auto' is obsolete and has no effect");
    }
}

} // namespace pgstrata::config
