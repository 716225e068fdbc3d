// SPDX-License-Identifier: PostgreSQL
#include "engine/pack_check.hpp"

#include "pgstrata/repository/layout.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

// The packs of one backup, as they are in the repository.
std::vector<repository::PackInfo> list_packs(const repository::Repository& repository,
                                             const std::string& stanza,
                                             const std::string& label)
{
    std::vector<repository::PackInfo> packs;
    repository.storage().list(
        repository::pack_path(stanza, label), [&](const storage::EntryInfo& entry) {
            if (const auto number = repository::parse_pack_number(entry.name)) {
                packs.push_back({{label, *number}, entry.size});
            }
        });
    std::ranges::sort(packs, {}, &repository::PackInfo::name);
    return packs;
}

} // namespace

void check_packs(const repository::Repository& repository,
                 const std::string& stanza,
                 const std::vector<repository::PackInfo>& needed)
{
    std::string label;
    std::vector<repository::PackInfo> there;
    for (const repository::PackInfo& pack : needed) {
        if (pack.name.label != label) {
            label = pack.name.label;
            there = list_packs(repository, stanza, label);
        }
        const auto found = repository::find_pack(there, pack.name);
        if (!found || there[*found].size != pack.size) {
            throw Error(ErrorCode::file_missing,
                        fmt::format("pack {} of backup {} is {}",
                                    pack.name.number,
                                    label,
                                    found ? "damaged" : "missing"),
                        "verify tells which backups can be restored");
        }
    }
}

} // namespace pgstrata::engine
