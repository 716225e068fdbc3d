// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/wal_archive.hpp"

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::repository {

// archive/<stanza>/<pg>-<n>/gap/<wal>.json: a WAL file that was dropped on purpose before it was
// stored. Recovery ends there.
struct WalGap {
    std::string wal_name;
    std::string reason;
    UnixSeconds time = 0;
    std::string host;
};

// Does nothing when there is a record of this file already.
void write_gap(const Repository& repository,
               std::string_view stanza,
               ArchiveId id,
               const WalGap& gap);
// nullopt when the file was not dropped.
std::optional<WalGap> read_gap(const Repository& repository,
                               std::string_view stanza,
                               ArchiveId id,
                               std::string_view wal_name);
// For messages: "it was dropped on HOST at TIME: REASON"; empty when it was not, or when that
// cannot be told.
std::string describe_gap(const Repository& repository,
                         std::string_view stanza,
                         ArchiveId id,
                         std::string_view wal_name);
// The files that there are records of. Reads a listing only.
std::set<std::string>
gap_names(const Repository& repository, std::string_view stanza, ArchiveId id);
// The dropped files that have not come to the archive after all, by name; segments that follow one
// another are one range. Reads listings only.
std::vector<WalRange>
list_gaps(const Repository& repository, std::string_view stanza, const Cluster& cluster);

} // namespace pgstrata::repository
