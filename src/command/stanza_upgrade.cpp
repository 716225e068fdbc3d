// SPDX-License-Identifier: PostgreSQL
#include "command/locks.hpp"
#include "command/stanza.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/identity.hpp"

namespace pgstrata::command {

namespace {

void upgrade_on(const config::Config& config, unsigned index, const postgres::ControlFile& control)
{
    const std::string& stanza = config.text("stanza");
    log::info("stanza-upgrade for stanza '{}' on repo{}", stanza, index);
    const OpenedRepository opened = open_repository(config, index);
    repository::mend_documents(*opened.storage);
    for (const auto id : repository::list_archive_ids(*opened.repository, stanza)) {
        repository::mend_cluster(*opened.repository, stanza, id);
    }
    const repository::Cluster current = engine::current_cluster(*opened.repository, stanza);
    if (engine::is_same_cluster(control, current)) {
        log::info("stanza '{}' on repo{} is already up to date", stanza, index);
        return;
    }
    const auto next = repository::make_cluster(control, current.id.number + 1);
    repository::write_cluster(*opened.repository, stanza, next);
    log::info("stanza '{}' on repo{} goes on as {} after {}",
              stanza,
              index,
              repository::to_string(next.id),
              repository::to_string(current.id));
}

} // namespace

int run_stanza_upgrade(const config::Config& config)
{
    check_stanza_name(config.text("stanza"));
    using enum engine::LockType;
    const auto lock =
        take_locks_unless_stopped(config, {archive, backup, restore}, config.repo_indexes());
    const postgres::ControlFile control = read_own_cluster(config);
    for (const unsigned index : config.repo_indexes()) {
        upgrade_on(config, index, control);
    }
    return 0;
}

} // namespace pgstrata::command
