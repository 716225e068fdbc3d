// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/command/info_report.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

// What info tells beyond pgBackRest: what can be restored, what stays for how long, what has died.
// The text is whole lines, empty where there is nothing to say.
namespace pgstrata::command {

// What is not known is null.
nlohmann::json text_or_null(const std::string& text);

nlohmann::json window_json(const InfoArchive& archive, unsigned repo_key);
nlohmann::json incomplete_json(const engine::IncompleteBackup& backup, unsigned repo_key);
nlohmann::json verified_json(const InfoVerified& verified, unsigned repo_key);
// Members of the object of a backup.
void add_health(nlohmann::json& shown, const InfoBackup& backup);

// `repo_key` is 0 where there is one repository only.
std::string window_text(const repository::RecoveryWindow& window, unsigned repo_key);
std::string incomplete_text(const InfoStanza& stanza);
std::string verified_text(const InfoStanza& stanza);
// Lines of a backup.
std::string health_text(const InfoBackup& backup);

} // namespace pgstrata::command
