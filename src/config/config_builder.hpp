// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "config/command_line.hpp"
#include "config/settings.hpp"

#include "pgstrata/config/config.hpp"

#include <set>
#include <string>
#include <utility>

namespace pgstrata::config {

// Makes the one Config: gathers what every source says, then checks it step by step.
class ConfigBuilder {
public:
    explicit ConfigBuilder(const Environment& environment);
    // Called once.
    Config build();

private:
    using Key = std::pair<const OptionRow*, unsigned>;

    void choose_command();
    void build_help();
    void check_parameters() const;
    void check_command_line() const;
    void read_sources();
    void remember_command_line();
    void remember_environment();
    void replace_compress();
    void collect_indexes();
    void resolve_values();
    void resolve(const Key& key);
    void
    check_dependency(const OptionRow& row, const std::string& name, const Setting& setting) const;
    Value parse(const OptionRow& row, unsigned index, Setting& setting);
    std::string_view allowed_text(const OptionRow& row, unsigned index) const;

    // Whether an option can be what it is set to, and be left out, in option_checks.cpp.
    void check_support();
    void check_support_of(const OptionRow& row, unsigned index, const Value& value) const;
    void note_tuning(const OptionRow& row, unsigned index, const Value& value);
    bool is_default(const OptionRow& row, unsigned index, const Value& value) const;
    void check_required() const;
    void check_required_option(const OptionRow& row) const;
    void check_required_option(const OptionRow& row, unsigned index) const;
    const std::vector<unsigned>& indexes_of(Group group) const;

    // What follows from several options together, in cross_checks.cpp.
    void check_stanza_name() const;
    void check_index_choices() const;
    void derive_defaults();
    void derive_timeouts();
    void derive_compression();
    void derive_archive_retention();
    void derive_archive_retention_of(unsigned repo);
    void check_repository_paths() const;
    void warn_of_obsolete();
    void set_derived(std::string_view option,
                     unsigned index,
                     const std::string& text,
                     std::int64_t number);

    const Environment& environment_;
    CommandLine line_;
    Settings settings_;
    std::set<Key> resolved_;
    Config config_;
};

} // namespace pgstrata::config
