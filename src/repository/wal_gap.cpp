// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/wal_gap.hpp"

#include "pgstrata/repository/document.hpp"

#include <nlohmann/json.hpp>

#include <map>

namespace pgstrata::repository {

namespace {

bool follows(const std::string& name, const std::string& before, std::uint32_t segment_size)
{
    auto last = postgres::parse_wal_segment(before, segment_size);
    if (!last) {
        return false;
    }
    ++last->number;
    return postgres::parse_wal_segment(name, segment_size) == last;
}

// Looks into each directory of the archive once.
class ArchiveIndex {
public:
    ArchiveIndex(const Repository& repository, std::string_view stanza, ArchiveId id)
        : repository_(repository), stanza_(stanza), id_(id)
    {
    }

    bool has(const std::string& wal_name)
    {
        const std::string directory = wal_directory(stanza_, id_, wal_name);
        const auto known = names_.find(directory);
        if (known != names_.end()) {
            return known->second.contains(wal_name);
        }
        std::set<std::string>& names = names_[directory];
        repository_.storage().list(directory, [&](const storage::EntryInfo& entry) {
            if (const auto object = parse_wal_object_name(entry.name)) {
                names.insert(object->wal_name);
            }
        });
        return names.contains(wal_name);
    }

private:
    const Repository& repository_;
    std::string stanza_;
    ArchiveId id_;
    std::map<std::string, std::set<std::string>> names_;
};

} // namespace

void write_gap(const Repository& repository,
               std::string_view stanza,
               ArchiveId id,
               const WalGap& gap)
{
    try {
        repository.write_document(gap_path(stanza, id, gap.wal_name),
                                  {{"format", kRepositoryFormat},
                                   {"wal", gap.wal_name},
                                   {"reason", gap.reason},
                                   {"time", static_cast<std::uint64_t>(gap.time)},
                                   {"host", gap.host}});
    } catch (const Error& error) {
        if (error.code() != ErrorCode::file_exists) {
            throw;
        }
    }
}

std::optional<WalGap> read_gap(const Repository& repository,
                               std::string_view stanza,
                               ArchiveId id,
                               std::string_view wal_name)
{
    const std::string path = gap_path(stanza, id, wal_name);
    if (!repository.storage().info(path)) {
        return std::nullopt;
    }
    const nlohmann::json document = repository.read_document(path);
    WalGap gap;
    gap.wal_name = document_text(document, "wal", path);
    gap.reason = document_text(document, "reason", path);
    gap.time = static_cast<UnixSeconds>(document_number(document, "time", path));
    gap.host = document_text(document, "host", path);
    if (gap.wal_name != wal_name) {
        raise(ErrorCode::format, "'{}' in the repository is of another WAL file", path);
    }
    return gap;
}

std::string describe_gap(const Repository& repository,
                         std::string_view stanza,
                         ArchiveId id,
                         std::string_view wal_name)
{
    try {
        const auto gap = read_gap(repository, stanza, id, wal_name);
        return gap ? fmt::format("it was dropped on {} at {}: {}",
                                 gap->host,
                                 format_local_time(gap->time),
                                 gap->reason)
                   : std::string();
    } catch (const Error&) {
        return {};
    }
}

std::set<std::string> gap_names(const Repository& repository, std::string_view stanza, ArchiveId id)
{
    std::set<std::string> names;
    repository.storage().list(gap_path(stanza, id), [&](const storage::EntryInfo& entry) {
        if (auto name = parse_gap_name(entry.name)) {
            names.insert(std::move(*name));
        }
    });
    return names;
}

std::vector<WalRange>
list_gaps(const Repository& repository, std::string_view stanza, const Cluster& cluster)
{
    ArchiveIndex archive(repository, stanza, cluster.id);
    std::vector<WalRange> gaps;
    for (const std::string& name : gap_names(repository, stanza, cluster.id)) {
        if (archive.has(name)) {
            continue;
        }
        if (!gaps.empty() && follows(name, gaps.back().last, cluster.wal_segment_size)) {
            gaps.back().last = name;
        } else {
            gaps.push_back({name, name});
        }
    }
    return gaps;
}

} // namespace pgstrata::repository
