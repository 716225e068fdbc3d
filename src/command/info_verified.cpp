// SPDX-License-Identifier: PostgreSQL
#include "command/info_verified.hpp"

#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/util/parallel.hpp"

#include <algorithm>
#include <map>

namespace pgstrata::command {

namespace {

using repository::PackName;
using repository::VerifyRecord;

constexpr std::size_t kListers = 8;

// When each pack was read last.
std::map<PackName, UnixSeconds> newest_reads(const std::vector<VerifyRecord>& records)
{
    std::map<PackName, UnixSeconds> newest;
    for (const VerifyRecord& record : records) {
        for (const PackName& pack : record.packs) {
            newest[pack] = std::max(newest[pack], record.start);
        }
    }
    return newest;
}

// The packs of these backups that are there.
std::map<PackName, std::uint64_t> pack_sizes(const repository::Repository& repository,
                                             const std::string& stanza,
                                             const std::vector<std::string>& labels)
{
    std::vector<std::vector<repository::PackInfo>> found(labels.size());
    parallel_for_each(
        std::min(kListers, 1 + labels.size() / kListers), labels.size(), [&](std::size_t i) {
            repository.storage().list(
                repository::pack_path(stanza, labels[i]), [&](const storage::EntryInfo& entry) {
                    if (const auto number = repository::parse_pack_number(entry.name)) {
                        found[i].push_back({{labels[i], *number}, entry.size});
                    }
                });
        });
    std::map<PackName, std::uint64_t> sizes;
    for (const auto& packs : found) {
        for (const repository::PackInfo& pack : packs) {
            sizes[pack.name] = pack.size;
        }
    }
    return sizes;
}

} // namespace

std::optional<InfoVerified> read_verified(const repository::Repository& repository,
                                          const std::string& stanza,
                                          const std::vector<repository::BackupSummary>& backups)
{
    const auto records = repository::read_verify_records(repository, stanza);
    if (records.empty()) {
        return std::nullopt;
    }
    InfoVerified verified;
    std::vector<std::string> labels;
    for (const repository::BackupSummary& backup : backups) {
        verified.total += backup.repository_delta;
        labels.push_back(backup.label);
    }
    const auto known = repository::known_damage(records, labels);
    for (const auto& [pack, places] : known.places()) {
        verified.damage.push_back({pack, places.front().problem});
    }
    const auto newest = newest_reads(records);
    // Nobody has read a pack of the others.
    std::erase_if(labels, [&](const std::string& label) {
        const auto first = newest.lower_bound({label, 0});
        return first == newest.end() || first->first.label != label;
    });
    for (const auto& [pack, size] : pack_sizes(repository, stanza, labels)) {
        if (const auto read = newest.find(pack); read != newest.end()) {
            verified.bytes += size;
            verified.since = std::min(verified.since.value_or(read->second), read->second);
        }
    }
    return verified;
}

} // namespace pgstrata::command
