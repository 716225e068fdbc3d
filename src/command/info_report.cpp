// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/info_report.hpp"

#include <algorithm>

namespace pgstrata::command {

namespace {

bool has_database_mismatch(const InfoStanza& stanza) noexcept
{
    const repository::Cluster* first = nullptr;
    for (const InfoRepository& repo : stanza.repositories) {
        if (repo.archives.empty()) {
            continue;
        }
        const repository::Cluster& current = repo.archives.back().cluster;
        if (first != nullptr && (first->system_identifier != current.system_identifier ||
                                 first->id.major != current.id.major)) {
            return true;
        }
        first = &current;
    }
    return false;
}

} // namespace

std::string_view status_message(InfoStatus status) noexcept
{
    switch (status) {
    case InfoStatus::ok:
        return "ok";
    case InfoStatus::missing_stanza_path:
        return "missing stanza path";
    case InfoStatus::no_backup:
        return "no valid backups";
    case InfoStatus::missing_stanza_data:
        return "missing stanza data";
    case InfoStatus::different:
        return "different across repos";
    case InfoStatus::database_mismatch:
        return "database mismatch across repos";
    case InfoStatus::missing_backup:
        return "requested backup not found";
    case InfoStatus::other:
        break;
    }
    return "other";
}

std::optional<std::uint64_t> throughput(const repository::BackupSummary& summary) noexcept
{
    if (summary.stop_time <= summary.start_time || summary.read == 0) {
        return std::nullopt;
    }
    return summary.read / static_cast<std::uint64_t>(summary.stop_time - summary.start_time);
}

InfoStatus stanza_status(const InfoStanza& stanza) noexcept
{
    const InfoStatus first = stanza.repositories.front().status;
    const bool is_same = std::ranges::all_of(
        stanza.repositories, [&](const InfoRepository& repo) { return repo.status == first; });
    if (!is_same) {
        return InfoStatus::different;
    }
    return has_database_mismatch(stanza) ? InfoStatus::database_mismatch : first;
}

std::string stanza_cipher(const InfoStanza& stanza)
{
    const std::string& first = stanza.repositories.front().cipher;
    const bool is_same = std::ranges::all_of(
        stanza.repositories, [&](const InfoRepository& repo) { return repo.cipher == first; });
    return is_same ? first : "mixed";
}

InfoLock stanza_backup_lock(const InfoStanza& stanza) noexcept
{
    InfoLock sum;
    for (const InfoRepository& repo : stanza.repositories) {
        const InfoLock& lock = repo.backup_lock;
        sum.is_held = sum.is_held || lock.is_held;
        if (lock.size && lock.size_done) {
            sum.size = sum.size.value_or(0) + *lock.size;
            sum.size_done = sum.size_done.value_or(0) + *lock.size_done;
        }
    }
    return sum;
}

std::vector<InfoBackup> stanza_backups(const InfoStanza& stanza)
{
    std::vector<InfoBackup> backups;
    for (const InfoRepository& repo : stanza.repositories) {
        backups.insert(backups.end(), repo.backups.begin(), repo.backups.end());
    }
    std::ranges::stable_sort(
        backups, {}, [](const InfoBackup& backup) { return backup.summary.stop_time; });
    return backups;
}

} // namespace pgstrata::command
