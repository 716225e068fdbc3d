// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/commands.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/log/log.hpp"

namespace pgstrata::command {

int run_stop(const config::Config& config)
{
    const std::string& stanza = config.text("stanza");
    const std::string& lock_path = config.text("lock-path");
    if (!engine::create_stop_file(lock_path, stanza)) {
        log::warn("stop file already exists for {}{}",
                  stanza.empty() ? "all stanzas" : "stanza ",
                  stanza);
    }
    if (config.flag("force")) {
        for (const std::int64_t pid : engine::terminate_lock_holders(lock_path, stanza)) {
            log::info("sent term signal to process {}", pid);
        }
    }
    return 0;
}

} // namespace pgstrata::command
