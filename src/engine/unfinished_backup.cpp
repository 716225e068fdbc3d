// SPDX-License-Identifier: PostgreSQL
#include "engine/unfinished_backup.hpp"

#include "engine/needed_backups.hpp"
#include "engine/remains.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/util/size.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

// The last label when it is of a backup without a summary and of the wanted kind. What others build
// on was complete once and is not gone on with.
std::string find_candidate(const repository::Repository& repository,
                           const std::string& stanza,
                           const repository::JournalHeader& wanted)
{
    std::vector<std::string> labels = repository::list_labels(repository, stanza);
    const auto time_of = [](const std::string& label) {
        return repository::parse_backup_label(label)->time;
    };
    const auto newest = std::ranges::max_element(labels, {}, time_of);
    if (newest == labels.end() ||
        repository.storage().info(repository::summary_path(stanza, *newest))) {
        return {};
    }
    const auto label = repository::parse_backup_label(*newest);
    const auto prior = repository::parse_backup_label(wanted.prior);
    const bool is_wanted = label->type == wanted.type && (!prior || label->full == prior->full);
    const bool can_be_changed = is_wanted && !has_lost_summary(repository, stanza, *newest) &&
                                NeededBackups::read(repository, stanza).find_need(*newest).empty();
    return can_be_changed ? *newest : std::string();
}

// A manifest would have been written next to last; it says nothing that the packs do not.
void remove_unproved(const repository::Repository& repository,
                     const std::string& stanza,
                     const repository::DurableWork& work)
{
    storage::Storage& storage = repository.storage();
    storage.remove(repository::manifest_path(stanza, work.label()));
    std::vector<std::uint32_t> numbers;
    const auto collect = [&](const storage::EntryInfo& entry) {
        const auto number = repository::parse_pack_number(entry.name);
        if (number && !repository::find_pack(work.packs(), {work.label(), *number})) {
            numbers.push_back(*number);
        }
    };
    storage.list(repository::journal_path(stanza, work.label()), collect);
    storage.list(repository::pack_path(stanza, work.label()), collect);
    for (const std::uint32_t number : numbers) {
        storage.remove(repository::journal_path(stanza, work.label(), number));
        storage.remove(repository::pack_path(stanza, work.label(), number));
    }
}

void report(const repository::DurableWork& work)
{
    std::uint64_t bytes = 0;
    for (const repository::PackInfo& pack : work.packs()) {
        bytes += pack.size;
    }
    log::warn("aborted backup {} of the same type exists, it is resumed: {} that it has stored are "
              "used again where they are still right",
              work.label(),
              format_size(bytes));
}

} // namespace

UnfinishedBackup take_up_unfinished_backup(const repository::Repository& repository,
                                           const std::string& stanza,
                                           const repository::JournalHeader& wanted,
                                           std::size_t workers)
{
    const std::string label = find_candidate(repository, stanza, wanted);
    if (label.empty()) {
        collect_abandoned_backups(repository, stanza);
        return {};
    }
    // Read before its holder is found dead: whoever takes it over meanwhile has the next one.
    const auto last_turn = repository::find_lease_turn(repository, stanza, label);
    collect_abandoned_backups(repository, stanza, label);
    UnfinishedBackup unfinished;
    unfinished.claimed = {label, claim_next_turn(repository, stanza, label, last_turn)};
    repository::Lease& lease = *unfinished.claimed.lease;
    work_under(lease, [&] {
        auto work = std::make_unique<repository::DurableWork>(repository, stanza, label, workers);
        if (work->header() && *work->header() == wanted) {
            remove_unproved(repository, stanza, *work);
            report(*work);
            unfinished.work = std::move(work);
        } else {
            log::info("remove what is left of the aborted backup {}", label);
            remove_incomplete_backup(repository, stanza, label, lease);
        }
    });
    return unfinished.work ? std::move(unfinished) : UnfinishedBackup();
}

} // namespace pgstrata::engine
