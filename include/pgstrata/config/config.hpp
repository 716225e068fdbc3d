// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/option_table.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstrata::config {

enum class Source : std::uint8_t { built_in, file, environment, command_line };

// One option's value for one index (0 for options without one).
struct Value {
    std::vector<std::string> texts; // one for scalars; list elements
    std::int64_t number = 0;        // int, bool (0/1), size in bytes, time in milliseconds
    std::vector<std::pair<std::string, std::string>> pairs; // hash
    Source source = Source::built_in;
    std::string origin; // "/etc/pgstrata/pgstrata.conf line 7", for messages
};

// The configuration of one run, checked and complete: made once, passed down to commands, never
// changed; may be read by several threads. Asking for an option by a name that the table does not
// have throws Error(assertion). For an option of a group the index 0 means the default one: what
// --repo or --pg chose, else the lowest.
class Config {
public:
    const CommandRow& command() const noexcept { return *command_; }
    Role role() const noexcept { return role_; }
    const std::vector<std::string>& parameters() const noexcept { return parameters_; }
    // How this program was called: argv[0] made absolute, and whether its name is pgbackrest.
    const std::string& executable() const noexcept { return executable_; }
    bool is_pgbackrest_link() const noexcept { return is_pgbackrest_link_; }

    // The indexes of a group that count as configured, ascending, whatever --repo chose; pg always
    // holds 1.
    const std::vector<unsigned>& repo_indexes() const noexcept { return repo_indexes_; }
    const std::vector<unsigned>& pg_indexes() const noexcept { return pg_indexes_; }
    unsigned default_repo() const;
    unsigned default_pg() const;
    // The stanzas that have a section in the configuration files, in order of their names.
    const std::vector<std::string>& stanzas() const noexcept { return stanzas_; }

    // True when the option is valid for the command and has a value, built-in default included.
    bool has(std::string_view option, unsigned index = 0) const;
    // Where the value came from; built_in also when there is none.
    Source source(std::string_view option, unsigned index = 0) const;
    bool flag(std::string_view option, unsigned index = 0) const;
    std::int64_t number(std::string_view option, unsigned index = 0) const; // int, size, time
    const std::string& text(std::string_view option,
                            unsigned index = 0) const; // empty when it has none
    const std::vector<std::string>& list(std::string_view option, unsigned index = 0) const;
    const std::vector<std::pair<std::string, std::string>>& pairs(std::string_view option,
                                                                  unsigned index = 0) const;

    // The options that are not at their default, alphabetically, as the "command begin" line shows
    // them: " --repo1-cipher-pass=<redacted> --stanza=main".
    std::string non_default_options() const;
    // The options of the command line that archive-get knows as well, without the stanza and
    // without anything secure, in the form a generated restore_command repeats them; a relative
    // --config is made absolute.
    const std::vector<std::string>& command_line_options() const noexcept
    {
        return command_line_options_;
    }
    // All options of the command line but those that are secure: with the same environment they
    // give a process in the background the same configuration, also in another working directory.
    const std::vector<std::string>& background_options() const noexcept
    {
        return background_options_;
    }
    // What to tell the user once the log is up: WARN texts first, then INFO texts.
    const std::vector<std::string>& warnings() const noexcept { return warnings_; }
    const std::vector<std::string>& notes() const noexcept { return notes_; }

private:
    friend class ConfigBuilder;
    struct Entry {
        const OptionRow* row = nullptr;
        unsigned index = 0;
        Value value;
    };

    const Value* find(std::string_view option, unsigned index) const;
    const Value* find(const OptionRow& row, unsigned index) const;
    const Value* find_set(const OptionRow& row, unsigned index) const;
    void set(const OptionRow& row, unsigned index, Value value);
    // Empty when the option has no default here.
    std::string_view default_text(const OptionRow& row, unsigned index) const;
    bool is_met(std::string_view depends, Group group, unsigned index) const;

    const CommandRow* command_ = nullptr;
    Role role_ = Role::main;
    std::vector<std::string> parameters_;
    std::string executable_;
    bool is_pgbackrest_link_ = false;
    std::vector<unsigned> repo_indexes_;
    std::vector<unsigned> pg_indexes_;
    std::vector<std::string> stanzas_;
    std::vector<std::string> command_line_options_;
    std::vector<std::string> background_options_;
    std::vector<Entry>
        values_; // only what was set or derived, by (row, index); defaults are looked up
    std::vector<std::string> warnings_;
    std::vector<std::string> notes_;
};

// The outside world of load_config, so that tests can set it.
struct Environment {
    std::vector<std::string> arguments;                         // argv without argv[0]
    std::string executable = "pgstrata";                        // argv[0]
    std::vector<std::pair<std::string, std::string>> variables; // the whole environment
    std::string configuration_root; // put before the default paths only; "" in production
};

Environment process_environment(int argc, char** argv);

// Reads command line, environment and files in that order of precedence and checks all of it.
// Throws Error with the codes of the interface (29 to 32, 37, 43, 48, 55, 67, 96 ...), naming
// option, file and line, allowed values and what to try; never a value of a secure option. For help
// and version neither environment nor files are read.
//
// The files without --config, --no-config, --config-path or --config-include-path:
// /etc/pgstrata/pgstrata.conf, then /etc/pgstrata/conf.d/*.conf by name. Called as pgbackrest and
// with no /etc/pgstrata/pgstrata.conf they are /etc/pgbackrest/pgbackrest.conf or else
// /etc/pgbackrest.conf, then /etc/pgbackrest/conf.d/*.conf. The variables are PGSTRATA_*, and
// called as pgbackrest PGBACKREST_* for what no PGSTRATA_* variable sets.
//
// In a value from a file ${NAME} is replaced by that variable of the environment, which must be
// set; $${ stands for a literal ${, and every other $ for itself.
Config load_config(const Environment& environment);

// Throws Error(option_invalid) when the command must not run as this user: root needs allow-root,
// which is the default for restore only. help and version run for anyone.
void check_root_allowed(const Config& config, unsigned uid);

} // namespace pgstrata::config
