// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/damage.hpp"

#include <algorithm>

namespace pgstrata::repository {

namespace {

// A pack that is hurt in more places than this is all damage: a record must not grow with it.
constexpr std::size_t kMostPlaces = 1000;

std::uint64_t end_of(std::uint32_t position, std::uint32_t size)
{
    return std::uint64_t{position} + size;
}

bool contains(const DamagedPlace& outer, const DamagedPlace& inner)
{
    return outer.begin <= inner.begin && inner.end <= outer.end &&
           outer.position <= inner.position &&
           end_of(inner.position, inner.size) <= end_of(outer.position, outer.size);
}

} // namespace

void Damage::add(DamagedPlace place)
{
    if (covers(place)) {
        return;
    }
    std::vector<DamagedPlace>& known = places_[place.pack];
    if (known.size() >= kMostPlaces) {
        known.clear();
        place.begin = 0;
        place.end = DamagedPlace::kToTheEnd;
        place.position = 0;
        place.size = DamagedPlace::kAll;
    }
    std::erase_if(known, [&](const DamagedPlace& one) { return contains(place, one); });
    known.push_back(std::move(place));
}

void Damage::clear(const PackName& pack)
{
    places_.erase(pack);
}

bool Damage::covers(const DamagedPlace& place) const
{
    const auto known = places_.find(place.pack);
    return known != places_.end() &&
           std::ranges::any_of(known->second,
                               [&](const DamagedPlace& one) { return contains(one, place); });
}

bool Damage::hits(const PackName& pack, const Extent& extent) const
{
    const auto known = places_.find(pack);
    return known != places_.end() &&
           std::ranges::any_of(known->second, [&](const DamagedPlace& one) {
               return one.begin <= extent.offset && extent.offset < one.end &&
                      one.position < end_of(extent.position, extent.size) &&
                      extent.position < end_of(one.position, one.size);
           });
}

} // namespace pgstrata::repository
