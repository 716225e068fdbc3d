// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/recovery_plan.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstrata::engine {

struct RecoverySettings {
    repository::RecoveryType type = repository::RecoveryType::standard;
    std::string target; // as the user gave it: lsn, name, time, xid
    bool is_exclusive = false;
    std::string target_action;   // "pause" is the server's default and is not written
    std::string target_timeline; // number, "current", "latest"; empty leaves it out
    std::string restore_command;
    bool is_archive_off = false;                              // archive-mode=off
    std::vector<std::pair<std::string, std::string>> options; // recovery-option, written last wins
};

// The settings in the order in which they are written. Throws Error(option_invalid) for
// standby_mode.
std::vector<std::pair<std::string, std::string>>
recovery_parameters(const RecoverySettings& settings);

// postgresql.auto.conf as it was in the backup, with old recovery targets commented out and the
// settings appended.
std::string render_auto_conf(std::string_view existing,
                             const RecoverySettings& settings,
                             std::string_view date);

// "recovery.signal", "standby.signal" or "" when the type needs none.
std::string_view signal_file(repository::RecoveryType type) noexcept;

} // namespace pgstrata::engine
