// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/commands.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/log/log.hpp"

namespace pgstrata::command {

int run_start(const config::Config& config)
{
    const std::string& stanza = config.text("stanza");
    if (!engine::remove_stop_file(config.text("lock-path"), stanza)) {
        log::warn("stop file does not exist{}{}", stanza.empty() ? "" : " for stanza ", stanza);
    }
    return 0;
}

} // namespace pgstrata::command
