// SPDX-License-Identifier: PostgreSQL
#include "command/locks.hpp"

namespace pgstrata::command {

std::unique_ptr<engine::LocalLock> take_locks(const config::Config& config,
                                              const std::vector<engine::LockType>& types,
                                              const std::vector<unsigned>& repos)
{
    return std::make_unique<engine::LocalLock>(engine::LockRequest{
        .lock_path = config.text("lock-path"),
        .stanza = config.text("stanza"),
        .types = types,
        .repo_keys = repos,
        .wait_milliseconds = static_cast<std::uint64_t>(config.number("lock-wait")),
        .data_directory = config.text("pg-path")});
}

std::unique_ptr<engine::LocalLock>
take_locks_unless_stopped(const config::Config& config,
                          const std::vector<engine::LockType>& types,
                          const std::vector<unsigned>& repos)
{
    engine::check_stop_file(config.text("lock-path"), config.text("stanza"));
    auto lock = take_locks(config, types, repos);
    engine::check_stop_file(config.text("lock-path"), config.text("stanza"));
    return lock;
}

} // namespace pgstrata::command
