// SPDX-License-Identifier: PostgreSQL
#include "config/config_builder.hpp"

#include "config/config_files.hpp"
#include "config/environment.hpp"
#include "config/option_name.hpp"
#include "config/option_text.hpp"
#include "config/value.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace pgstrata::config {

namespace {

constexpr std::string_view kLinkName = "pgbackrest";

std::string absolute_path(const std::string& path)
{
    return normal_path(std::filesystem::absolute(path).string());
}

// argv[0] made absolute, links kept: through PATH when it holds no slash.
std::string find_executable(const Environment& environment)
{
    if (environment.executable.find('/') != std::string::npos) {
        return absolute_path(environment.executable);
    }
    for (const auto& [name, value] : environment.variables) {
        std::string_view directories =
            name == "PATH" ? std::string_view(value) : std::string_view();
        while (!directories.empty()) {
            const std::string_view directory = next_part(directories, ':');
            const std::string path = join_path(directory, environment.executable);
            if (!directory.empty() && ::access(path.c_str(), X_OK) == 0) {
                return absolute_path(path);
            }
        }
    }
    return program_path();
}

// An option as it was given, fit for a command line in another working directory. Of all options
// only this one may be a relative path.
std::vector<std::string> words_of(const OptionRow& row, unsigned index, const Setting& setting)
{
    const std::string name = display_name(row, index);
    if (setting.kind != Setting::Kind::value) {
        return {(setting.kind == Setting::Kind::reset ? "--reset-" : "--no-") + name};
    }
    std::vector<std::string> words;
    for (const std::string& text : setting.texts) {
        const bool is_relative = row.name == "config" && !text.empty() && text.front() != '/';
        words.push_back(fmt::format("--{}={}", name, is_relative ? absolute_path(text) : text));
    }
    return words;
}

} // namespace

ConfigBuilder::ConfigBuilder(const Environment& environment) : environment_(environment)
{
    config_.executable_ = find_executable(environment);
    config_.is_pgbackrest_link_ = file_name(environment.executable) == kLinkName;
    config_.repo_indexes_ = {1};
    config_.pg_indexes_ = {1};
}

Config ConfigBuilder::build()
{
    line_ = parse_command_line(environment_.arguments);
    choose_command();
    if (config_.command_->id == Command::help || config_.command_->id == Command::version) {
        build_help();
        return std::move(config_);
    }
    if (!config_.command_->is_built) {
        throw Error(ErrorCode::feature_not_supported,
                    fmt::format("command '{}' is not supported yet", config_.command_->name),
                    "'pgstrata help' lists the commands");
    }
    check_command_line();
    check_parameters();
    read_sources();
    replace_compress();
    collect_indexes();
    resolve_values();
    check_stanza_name();
    check_index_choices();
    check_support();
    check_required();
    check_repository_paths();
    derive_defaults();
    derive_timeouts();
    derive_compression();
    derive_archive_retention();
    warn_of_obsolete();
    return std::move(config_);
}

void ConfigBuilder::choose_command()
{
    const CommandRow* given = line_.command;
    config_.command_ = given;
    config_.role_ = line_.role;
    config_.parameters_ = line_.parameters;
    if (line_.wants_version) {
        config_.command_ = find_command("version");
        config_.parameters_.clear();
        return;
    }
    if (!line_.wants_help && !environment_.arguments.empty()) {
        if (given == nullptr) {
            throw Error(ErrorCode::command_required,
                        "no command is given",
                        "'pgstrata help' lists the commands");
        }
        return;
    }
    config_.command_ = find_command("help");
    if (given == config_.command_) {
        return;
    }
    config_.parameters_.clear();
    if (given != nullptr) {
        config_.parameters_.emplace_back(given->name);
    }
}

// Neither environment nor files: what the command line sets is kept, so that help can show it.
void ConfigBuilder::build_help()
{
    check_parameters();
    const bool is_help = config_.command_->id == Command::help;
    const CommandRow* const subject = is_help && !config_.parameters_.empty()
                                          ? find_command(config_.parameters_.front())
                                          : nullptr;
    line_.command = subject != nullptr ? subject : config_.command_;
    if (subject != nullptr) {
        check_command_line();
    } else {
        std::erase_if(line_.settings, [&](const auto& each) {
            return !is_valid_for(*each.first.first, *line_.command);
        });
    }
    settings_ = line_.settings;
    collect_indexes();
    for (auto& [key, setting] : settings_) {
        if (setting.kind == Setting::Kind::value) {
            config_.set(*key.first, key.second, parse(*key.first, key.second, setting));
        }
    }
}

void ConfigBuilder::check_parameters() const
{
    const CommandRow& command = *config_.command_;
    const std::size_t count = config_.parameters_.size();
    // In the background archive-push finds out for itself what there is to push, and archive-get
    // is told the first segment to fetch.
    const bool is_async = config_.role_ == Role::async;
    const std::size_t maximum = command.maximum_parameters - (is_async ? 1U : 0U);
    const std::size_t minimum = command.minimum_parameters - (is_async ? 1U : 0U);
    const std::string usage = fmt::format("usage: pgstrata {}{}{}",
                                          command.name,
                                          command.parameter_names.empty() ? "" : " ",
                                          command.parameter_names);
    if (count > maximum) {
        throw Error(ErrorCode::parameter_invalid,
                    maximum == 0
                        ? fmt::format("command '{}' takes no parameters", command.name)
                        : fmt::format("too many parameters for command '{}'", command.name),
                    usage);
    }
    if (count < minimum) {
        throw Error(ErrorCode::parameter_required,
                    fmt::format("missing parameter for command '{}'", command.name),
                    usage);
    }
}

void ConfigBuilder::check_command_line() const
{
    for (const auto& [key, setting] : line_.settings) {
        if (!is_valid_for(*key.first, *line_.command)) {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' is not valid for command '{}'",
                                    display_name(*key.first, key.second),
                                    line_.command->name),
                        fmt::format("'pgstrata help {}' lists its options", line_.command->name));
        }
    }
}

void ConfigBuilder::read_sources()
{
    remember_command_line();
    const CommandRow& command = *config_.command_;
    settings_ = line_.settings;
    add_environment(environment_, kVariablePrefix, command, settings_, config_.warnings_);
    if (config_.is_pgbackrest_link_) {
        add_environment(environment_, kLinkVariablePrefix, command, settings_, config_.warnings_);
    }
    remember_environment();
    const Ini ini = read_config_files(environment_, config_.is_pgbackrest_link_, settings_);
    const auto stanza = settings_.find({find_option("stanza"), 0});
    add_sections(ini,
                 command,
                 stanza == settings_.end() ? std::string() : stanza->second.texts.front(),
                 settings_,
                 config_.warnings_);
    config_.stanzas_ = list_stanzas(ini);
}

void ConfigBuilder::remember_command_line()
{
    const CommandRow& archive_get = *find_command("archive-get");
    for (const auto& [key, setting] : line_.settings) {
        const OptionRow& row = *key.first;
        if (row.is_secure || row.name == "exec-id") {
            continue;
        }
        const std::vector<std::string> words = words_of(row, key.second, setting);
        auto& background = config_.background_options_;
        background.insert(background.end(), words.begin(), words.end());
        if (is_valid_for(row, archive_get) && row.name != "stanza") {
            auto& repeated = config_.command_line_options_;
            repeated.insert(repeated.end(), words.begin(), words.end());
        }
    }
}

// The process in the background gets our environment, but not our working directory.
void ConfigBuilder::remember_environment()
{
    const Key key{find_option("config"), 0};
    const auto config = settings_.find(key);
    if (config != settings_.end() && config->second.source == Source::environment) {
        const std::vector<std::string> words = words_of(*key.first, key.second, config->second);
        auto& background = config_.background_options_;
        background.insert(background.end(), words.begin(), words.end());
    }
}

// compress=n is the old way to say compress-type=none; compress-type wins.
void ConfigBuilder::replace_compress()
{
    const auto compress = settings_.find({find_option("compress"), 0});
    const Key type{find_option("compress-type"), 0};
    if (compress == settings_.end() || compress->second.kind == Setting::Kind::reset) {
        return;
    }
    const Setting& old = compress->second;
    if (settings_.contains(type)) {
        config_.warnings_.emplace_back(
            "options 'compress' and 'compress-type' are both set, 'compress-type' is used");
    } else if (old.kind == Setting::Kind::negated || old.texts.front() == "n") {
        Setting none;
        none.texts = {"none"};
        none.source = old.source;
        none.origin = old.origin;
        settings_.emplace(type, std::move(none));
    }
}

void ConfigBuilder::collect_indexes()
{
    std::set<unsigned> repos;
    std::set<unsigned> clusters = {1};
    for (const auto& [key, setting] : settings_) {
        const auto& [row, index] = key;
        if (setting.kind != Setting::Kind::reset && row->group != Group::none) {
            (row->group == Group::repo ? repos : clusters).insert(index);
        }
    }
    if (!repos.empty()) {
        config_.repo_indexes_.assign(repos.begin(), repos.end());
    }
    config_.pg_indexes_.assign(clusters.begin(), clusters.end());
}

void ConfigBuilder::resolve_values()
{
    for (const auto& entry : settings_) {
        resolve(entry.first);
    }
}

// What an option depends on comes first, since its value decides whether and how this one is read.
// Its default does so, too, where it is not set.
void ConfigBuilder::resolve(const Key& key)
{
    if (!resolved_.insert(key).second) {
        return;
    }
    const auto& [row, index] = key;
    const std::string_view depends = text_for_command(row->depends, config_.command_->name);
    if (!depends.empty()) {
        const OptionRow* needed = find_option(parse_dependency(depends).option);
        resolve({needed, needed->group == Group::none ? 0 : index});
    }
    const auto found = settings_.find(key);
    if (found == settings_.end()) {
        return;
    }
    Setting& setting = found->second;
    if (!depends.empty() && !config_.is_met(depends, row->group, index)) {
        check_dependency(*row, display_name(*row, index), setting);
        return;
    }
    if (setting.kind != Setting::Kind::reset) {
        config_.set(*row, index, parse(*row, index, setting));
    }
}

void ConfigBuilder::check_dependency(const OptionRow& row,
                                     const std::string& name,
                                     const Setting& setting) const
{
    if (setting.source != Source::command_line || setting.kind == Setting::Kind::reset) {
        return;
    }
    const Dependency dependency =
        parse_dependency(text_for_command(row.depends, config_.command_->name));
    throw Error(ErrorCode::option_invalid,
                fmt::format("option '{}' is not valid without option '{}'{}{}",
                            name,
                            dependency.option,
                            dependency.values.empty() ? "" : " set to ",
                            list_words(dependency.values)));
}

Value ConfigBuilder::parse(const OptionRow& row, unsigned index, Setting& setting)
{
    const std::string name = display_name(row, index);
    if (setting.kind == Setting::Kind::negated) {
        Value value;
        value.source = setting.source;
        value.origin = setting.origin;
        if (row.type != OptionType::string) {
            value.texts = {"n"};
        }
        return value;
    }
    if (setting.source == Source::file) {
        expand_variables(row, name, environment_, setting);
    }
    return parse_value({.row = row,
                        .name = name,
                        .allowed = allowed_text(row, index),
                        .source = setting.source,
                        .origin = setting.origin},
                       setting.texts,
                       config_.warnings_);
}

std::string_view ConfigBuilder::allowed_text(const OptionRow& row, unsigned index) const
{
    const std::string_view command =
        line_.command == nullptr ? config_.command_->name : line_.command->name;
    const std::string_view text = text_for_command(row.allowed, command);
    if (!depends_on_key(text)) {
        return text;
    }
    const Dependency dependency = parse_dependency(text_for_command(row.depends, command));
    const OptionRow& key = *find_option(dependency.option);
    const Value* value = config_.find(key, key.group == Group::none ? 0 : index);
    return value == nullptr ? std::string_view() : text_for_key(text, value->texts.front());
}

Config load_config(const Environment& environment)
{
    return ConfigBuilder(environment).build();
}

} // namespace pgstrata::config
