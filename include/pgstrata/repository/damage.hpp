// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/pack.hpp"
#include "pgstrata/util/time.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace pgstrata::repository {

// Bytes of a pack that are not what was stored: all frames that begin from `begin` to before `end`,
// and of their raw bytes `size` from `position` on.
struct DamagedPlace {
    static constexpr std::uint64_t kToTheEnd = std::numeric_limits<std::uint64_t>::max();
    static constexpr std::uint32_t kAll = std::numeric_limits<std::uint32_t>::max();

    PackName pack;
    std::uint64_t begin = 0;
    std::uint64_t end = kToTheEnd;
    std::uint32_t position = 0;
    std::uint32_t size = kAll;
    std::string problem;
    UnixSeconds since = 0; // when the run of verify began that found it; 0 unless from a record
};

// What of a repository's packs is known to be damaged. Not for several threads at once.
class Damage {
public:
    // What is already known to be damaged is not added again.
    void add(DamagedPlace place);
    // Forgets what was known of a pack.
    void clear(const PackName& pack);
    bool is_empty() const noexcept { return places_.empty(); }
    bool has(const PackName& pack) const { return places_.contains(pack); }
    // Whether all of that place is known to be damaged.
    bool covers(const DamagedPlace& place) const;
    // Whether any of the extent's bytes, in that pack, are damaged.
    bool hits(const PackName& pack, const Extent& extent) const;
    // By pack.
    const std::map<PackName, std::vector<DamagedPlace>>& places() const noexcept { return places_; }

private:
    std::map<PackName, std::vector<DamagedPlace>> places_;
};

} // namespace pgstrata::repository
