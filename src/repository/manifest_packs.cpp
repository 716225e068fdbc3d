// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/manifest.hpp"

#include <algorithm>
#include <set>
#include <string_view>

namespace pgstrata::repository {

namespace {

constexpr std::uint32_t kNowhere = ~0U;

// Where the packs of the old table, followed by the own ones by number, are in the new table.
std::vector<std::uint32_t> new_places(const std::vector<PackInfo>& prior,
                                      const std::vector<PackInfo>& own,
                                      const std::vector<PackInfo>& table)
{
    std::vector<std::uint32_t> places;
    for (const PackInfo& pack : prior) {
        places.push_back(find_pack(table, pack.name).value_or(kNowhere));
    }
    for (const PackInfo& pack : own) {
        places.resize(std::max(places.size(), prior.size() + pack.name.number + 1), kNowhere);
        places[prior.size() + pack.name.number] = find_pack(table, pack.name).value_or(kNowhere);
    }
    return places;
}

} // namespace

void settle_packs(Manifest& manifest, const std::vector<PackInfo>& own)
{
    const std::vector<PackInfo> prior = std::move(manifest.packs);
    // What a page map refers to is not seen here, but lies in the packs of the map's own backup:
    // of a backup that something leads to all packs stay.
    std::set<std::string_view> used;
    for (const ManifestFile& file : manifest.files) {
        for (const Extent& extent : file.extents) {
            if (extent.pack < prior.size()) {
                used.insert(prior[extent.pack].name.label);
            }
        }
    }
    manifest.packs.clear();
    std::ranges::copy_if(prior, std::back_inserter(manifest.packs), [&](const PackInfo& pack) {
        return used.contains(pack.name.label);
    });
    manifest.packs.insert(manifest.packs.end(), own.begin(), own.end());
    std::ranges::sort(manifest.packs, {}, &PackInfo::name);
    const std::vector<std::uint32_t> places = new_places(prior, own, manifest.packs);
    for (ManifestFile& file : manifest.files) {
        for (Extent& extent : file.extents) {
            extent.pack = places.at(extent.pack);
        }
    }
}

std::vector<std::string> references_of(const Manifest& manifest)
{
    std::vector<std::string> labels;
    for (const PackInfo& pack : manifest.packs) {
        const std::string& label = pack.name.label;
        if (label != manifest.header.label && (labels.empty() || labels.back() != label)) {
            labels.push_back(label);
        }
    }
    return labels;
}

} // namespace pgstrata::repository
