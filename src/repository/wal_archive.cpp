// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/wal_archive.hpp"

#include "pgstrata/util/hex.hpp"

#include <algorithm>

namespace pgstrata::repository {

namespace {

constexpr std::size_t kHistoryLimit = 16U << 20U;

// The subdirectories of an archive that hold segments, ascending.
std::vector<std::string>
segment_directories(const Repository& repository, std::string_view stanza, ArchiveId id)
{
    std::vector<std::string> names;
    repository.storage().list(archive_path(stanza, id), [&](const storage::EntryInfo& entry) {
        if (entry.name.size() == 16 && is_upper_hex(entry.name)) {
            names.push_back(entry.name);
        }
    });
    return names;
}

// The plain segments in one directory, ascending, each once.
std::vector<std::string> segments_in(const Repository& repository, const std::string& directory)
{
    std::vector<std::string> names;
    repository.storage().list(directory, [&](const storage::EntryInfo& entry) {
        const auto object = parse_wal_object_name(entry.name);
        if (object && object->wal_name.size() == 24 &&
            (names.empty() || names.back() != object->wal_name)) {
            names.push_back(object->wal_name);
        }
    });
    return names;
}

// An object without cipher and compression is the plain file itself.
Buffer read_content(const Repository& repository,
                    const std::string& path,
                    const WalObjectName& name,
                    std::size_t limit)
{
    const bool is_plain_file =
        !name.is_compressed && repository.cipher().type == codec::CipherType::none;
    if (is_plain_file) {
        return storage::read_file(repository.storage(), path, limit);
    }
    const bool is_wal = name.wal_name.size() == 24 || name.wal_name.ends_with(".partial");
    const codec::ObjectKind kind =
        is_wal ? codec::ObjectKind::wal : codec::ObjectKind::archive_file;
    const auto source = repository.storage().open(path);
    return codec::read_object(*source, {kind, path}, repository.cipher(), limit);
}

} // namespace

std::vector<WalObjectName> find_wal(const Repository& repository,
                                    std::string_view stanza,
                                    ArchiveId id,
                                    std::string_view wal_name)
{
    std::vector<WalObjectName> found;
    repository.storage().list(wal_directory(stanza, id, wal_name),
                              [&](const storage::EntryInfo& entry) {
                                  if (!entry.name.starts_with(wal_name)) {
                                      return;
                                  }
                                  auto object = parse_wal_object_name(entry.name);
                                  if (object && object->wal_name == wal_name) {
                                      found.push_back(std::move(*object));
                                  }
                              });
    return found;
}

std::string wal_digest(const codec::Sha256Digest& digest)
{
    return to_hex(ByteView(digest).first(20));
}

Buffer read_wal(const Repository& repository,
                std::string_view stanza,
                ArchiveId id,
                const WalObjectName& name,
                std::size_t limit)
{
    const std::string path =
        fmt::format("{}/{}", wal_directory(stanza, id, name.wal_name), to_string(name));
    Buffer content = read_content(repository, path, name, limit);
    if (wal_digest(codec::sha256(content)) != name.digest) {
        raise(ErrorCode::checksum,
              "'{}' in the repository is damaged: its contents do not match its name",
              path);
    }
    return content;
}

WalRange wal_range(const Repository& repository, std::string_view stanza, ArchiveId id)
{
    const std::vector<std::string> directories = segment_directories(repository, stanza, id);
    const std::string archive = archive_path(stanza, id);
    WalRange range;
    for (auto at = directories.begin(); at != directories.end() && range.first.empty(); ++at) {
        const auto segments = segments_in(repository, fmt::format("{}/{}", archive, *at));
        range.first = segments.empty() ? "" : segments.front();
    }
    for (auto at = directories.rbegin(); at != directories.rend() && range.last.empty(); ++at) {
        const auto segments = segments_in(repository, fmt::format("{}/{}", archive, *at));
        range.last = segments.empty() ? "" : segments.back();
    }
    return range;
}

void list_segments(const Repository& repository,
                   std::string_view stanza,
                   ArchiveId id,
                   std::string_view from,
                   const std::function<bool(const std::string&)>& visit)
{
    for (const std::string& directory : segment_directories(repository, stanza, id)) {
        if (directory < from.substr(0, 16)) {
            continue;
        }
        for (const std::string& segment :
             segments_in(repository, fmt::format("{}/{}", archive_path(stanza, id), directory))) {
            if (segment >= from && !visit(segment)) {
                return;
            }
        }
    }
}

std::vector<postgres::Timeline>
list_timelines(const Repository& repository, std::string_view stanza, ArchiveId id)
{
    std::vector<postgres::Timeline> timelines;
    repository.storage().list(archive_path(stanza, id), [&](const storage::EntryInfo& entry) {
        const auto object = parse_wal_object_name(entry.name);
        const auto name = object ? postgres::parse_wal_file_name(object->wal_name) : std::nullopt;
        if (name && name->kind == postgres::WalFileKind::history) {
            timelines.push_back(name->timeline);
        }
    });
    std::ranges::sort(timelines);
    timelines.erase(std::unique(timelines.begin(), timelines.end()), timelines.end());
    return timelines;
}

std::optional<postgres::TimelineHistory> read_timeline_history(const Repository& repository,
                                                               std::string_view stanza,
                                                               ArchiveId id,
                                                               postgres::Timeline timeline)
{
    const std::string name = fmt::format("{:08X}.history", timeline);
    const auto found = find_wal(repository, stanza, id, name);
    if (found.empty()) {
        return std::nullopt;
    }
    if (found.size() > 1) {
        raise(ErrorCode::archive_duplicate,
              "the archive has {} different files '{}'",
              found.size(),
              name);
    }
    const Buffer text = read_wal(repository, stanza, id, found.front(), kHistoryLimit);
    return postgres::parse_timeline_history(as_text(text), timeline);
}

} // namespace pgstrata::repository
