// SPDX-License-Identifier: PostgreSQL
#include "engine/own_wal.hpp"

#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/manifest.hpp"

#include <set>

namespace pgstrata::engine {

namespace {

constexpr std::string_view kWalDirectory = "pg_wal/";

} // namespace

std::vector<repository::WalRange> without_own_wal(const repository::Repository& repository,
                                                  const std::string& stanza,
                                                  std::uint32_t wal_segment_size,
                                                  const std::string& label,
                                                  const std::vector<repository::WalRange>& ranges)
{
    std::set<std::string> own;
    repository::ManifestReader reader(repository, stanza, label);
    for (repository::ManifestFile file; reader.next(file);) {
        if (file.path.starts_with(kWalDirectory)) {
            own.insert(file.path.substr(kWalDirectory.size()));
        }
    }
    std::vector<repository::WalRange> left;
    for (const repository::WalRange& range : ranges) {
        auto segment = postgres::parse_wal_segment(range.first, wal_segment_size);
        std::string name = range.first;
        for (; segment && own.contains(name) && name <= range.last;
             name = postgres::to_string(*segment, wal_segment_size)) {
            ++segment->number;
        }
        if (name <= range.last) {
            left.push_back({name, range.last});
        }
    }
    return left;
}

} // namespace pgstrata::engine
