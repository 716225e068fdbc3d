// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/command/repositories.hpp"
#include "pgstrata/config/config.hpp"
#include "pgstrata/engine/archive_get.hpp"

#include <optional>
#include <string>
#include <vector>

// The parts of archive-get.
namespace pgstrata::command {

struct GetRepositories {
    std::vector<OpenedRepository> repositories;
    std::vector<engine::GetSource> sources;
    std::string failures; // of those that could not be opened; see try_repositories()
};
// Throws Error(repo_invalid) when there is none, Error(archive_mismatch) for the stanza of another
// cluster.
GetRepositories open_get_sources(const config::Config& config,
                                 const postgres::ControlFile& control);
// The digest of the file that is at its destination now; nullopt when it is proved absent. Throws
// Error(repo_invalid) when it was not found and not every repository could be asked.
std::optional<std::string> get_file(const GetRepositories& opened,
                                    const engine::GetOptions& options,
                                    const postgres::ControlFile& control);

enum class QueueAnswer : unsigned char { taken, absent, unknown };
// archive-async: what the queue has of a segment. Nothing that is wrong with the spool is an error:
// the answer is unknown then.
QueueAnswer ask_queue(const config::Config& config,
                      const engine::GetOptions& options,
                      const postgres::ControlFile& control);
// Sees to it that the segments after this one are being fetched.
void fill_queue(const config::Config& config,
                const std::string& wal_name,
                const postgres::ControlFile& control);
// The process in the background.
int get_in_background(const config::Config& config, const postgres::ControlFile& control);

} // namespace pgstrata::command
