// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/manifest.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

namespace pgstrata::repository {

namespace {

// Where the packs of the old table and the own ones are in the new table.
class PackPlaces {
public:
    PackPlaces(const std::vector<PackInfo>& prior,
               const std::vector<PackInfo>& own,
               const std::vector<PackInfo>& table)
        : own_(own)
    {
        for (const PackInfo& pack : prior) {
            prior_places_.push_back(find_pack(table, pack.name));
        }
        for (const PackInfo& pack : own) {
            own_places_.push_back(find_pack(table, pack.name));
        }
    }

    std::optional<std::uint32_t> find(std::uint32_t pack) const
    {
        if (pack < prior_places_.size()) {
            return prior_places_[pack];
        }
        const std::size_t number = pack - prior_places_.size();
        const auto found = std::ranges::lower_bound(
            own_, number, {}, [](const PackInfo& info) { return info.name.number; });
        if (found == own_.end() || found->name.number != number) {
            return std::nullopt;
        }
        return own_places_[static_cast<std::size_t>(found - own_.begin())];
    }

private:
    const std::vector<PackInfo>& own_;
    std::vector<std::optional<std::uint32_t>> prior_places_;
    std::vector<std::optional<std::uint32_t>> own_places_;
};

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
    const PackPlaces places(prior, own, manifest.packs);
    for (ManifestFile& file : manifest.files) {
        for (Extent& extent : file.extents) {
            const auto place = places.find(extent.pack);
            if (!place) {
                raise(ErrorCode::assertion, "'{}' lies in a pack that was not finished", file.path);
            }
            extent.pack = *place;
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
