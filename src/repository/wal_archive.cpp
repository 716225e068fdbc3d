// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/wal_archive.hpp"

#include "pgstrata/util/hex.hpp"
#include "pgstrata/util/parallel.hpp"

#include <algorithm>
#include <array>

namespace pgstrata::repository {

namespace {

constexpr std::size_t kHistoryLimit = 16U << 20U;
// Directories that are listed at once: what takes long is the way to an object store.
constexpr std::size_t kListers = 8;
// What a segment usually has; larger ones grow their buffer.
constexpr std::size_t kReserveLimit = 16U << 20U;

// Two times of the note that a segment begins with.
constexpr std::size_t kTimesSize = 2 * sizeof(std::int64_t);

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

std::string object_path(std::string_view stanza, ArchiveId id, const WalObjectName& name)
{
    return fmt::format("{}/{}", wal_directory(stanza, id, name.wal_name), to_string(name));
}

// An object without cipher and compression is the plain file itself.
bool is_plain_file(const Repository& repository, const WalObjectName& name)
{
    return !name.is_compressed && repository.cipher().type == codec::CipherType::none;
}

codec::ObjectIdentity identity_of(const std::string& path, const WalObjectName& name)
{
    const auto wal_name = postgres::parse_wal_file_name(name.wal_name);
    const bool is_wal = wal_name && postgres::holds_wal(wal_name->kind);
    return {is_wal ? codec::ObjectKind::wal : codec::ObjectKind::archive_file, path};
}

// What was stored as it came may be garbage all the same.
void check_history(std::string_view text, postgres::Timeline timeline, const std::string& path)
{
    try {
        postgres::parse_timeline_history(text, timeline);
    } catch (const Error& error) {
        throw error.within(fmt::format("'{}' in the repository is of no use", path));
    }
}

[[noreturn]] void raise_other_contents(const std::string& path)
{
    raise(ErrorCode::checksum,
          "'{}' in the repository is damaged: its contents do not match its name",
          path);
}

[[noreturn]] void
raise_other_size(const std::string& path, std::uint64_t size, std::uint64_t expected)
{
    raise(ErrorCode::file_invalid,
          "'{}' in the repository holds {} bytes instead of {}",
          path,
          size,
          expected);
}

// Calls `use` with one stretch of the plain file after the other.
template <typename Use>
void read_stretches(const Repository& repository,
                    const std::string& path,
                    const WalObjectName& name,
                    const Use& use)
{
    const auto file = repository.storage().open(path);
    Buffer window;
    const ReadAheadSource source(*file, window);
    Buffer stretch;
    if (!is_plain_file(repository, name)) {
        codec::ObjectReader reader(source, identity_of(path, name), repository.cipher());
        while (reader.next(stretch)) {
            if (!stretch.empty()) {
                use(stretch.view());
            }
        }
        return;
    }
    for (std::uint64_t offset = 0;; offset += stretch.size()) {
        stretch.resize(codec::kFrameRawLimit);
        stretch.resize(source.read_at(offset, stretch.span()));
        if (stretch.empty()) {
            return;
        }
        use(stretch.view());
    }
}

// Whether the first stretch of a segment begins with the header it should have; nullopt when it is
// none we know.
std::optional<bool>
has_right_header(ByteView stretch, const Cluster& cluster, const WalObjectName& name)
{
    const auto wal_name = postgres::parse_wal_file_name(name.wal_name);
    const auto segment =
        wal_name ? postgres::parse_wal_segment(wal_name->segment, cluster.wal_segment_size)
                 : std::nullopt;
    if (!segment || !postgres::holds_wal(wal_name->kind) ||
        stretch.size() < postgres::kWalHeaderSize) {
        return std::nullopt;
    }
    try {
        const postgres::WalHeader header = postgres::parse_wal_header(stretch);
        return header.system_identifier == cluster.system_identifier &&
               header.page_address == postgres::start_of(*segment, cluster.wal_segment_size);
    } catch (const Error&) {
        return std::nullopt;
    }
}

} // namespace

std::vector<WalObjectName> find_wal(const Repository& repository,
                                    std::string_view stanza,
                                    ArchiveId id,
                                    std::string_view wal_name)
{
    std::vector<WalObjectName> found;
    repository.storage().list_some(
        wal_directory(stanza, id, wal_name), wal_name, [&](const storage::EntryInfo& entry) {
            auto object = parse_wal_object_name(entry.name);
            if (object && object->wal_name == wal_name) {
                found.push_back(std::move(*object));
            }
        });
    return found;
}

codec::FrameBody note_wal_times(const postgres::WalTimes& times, Buffer& scratch)
{
    std::array<std::byte, kTimesSize> note{};
    store(note.data(), times.first);
    store(note.data() + sizeof(times.first), times.last);
    return codec::make_note(note, scratch);
}

std::optional<postgres::WalTimes> read_wal_times(const Repository& repository,
                                                 std::string_view stanza,
                                                 ArchiveId id,
                                                 const WalObjectName& name)
{
    if (is_plain_file(repository, name)) {
        return std::nullopt;
    }
    const std::string path = object_path(stanza, id, name);
    const auto source = repository.storage().open(path);
    const auto note =
        codec::ObjectReader(*source, identity_of(path, name), repository.cipher()).read_note();
    if (!note || note->size() < kTimesSize) {
        return std::nullopt;
    }
    return postgres::WalTimes{load<std::int64_t>(note->data()),
                              load<std::int64_t>(note->data() + sizeof(std::int64_t))};
}

Buffer read_wal(const Repository& repository,
                std::string_view stanza,
                ArchiveId id,
                const WalObjectName& name,
                std::size_t limit)
{
    const std::string path = object_path(stanza, id, name);
    Buffer content;
    content.reserve(std::min(limit, kReserveLimit));
    WalDigest digest(name.digest);
    read_stretches(repository, path, name, [&](ByteView stretch) {
        if (content.size() + stretch.size() > limit) {
            raise(
                ErrorCode::format, "'{}' in the repository holds more than {} bytes", path, limit);
        }
        content.append(stretch);
        digest.update(stretch);
    });
    if (digest.finish() != name.digest) {
        raise_other_contents(path);
    }
    return content;
}

void stream_wal(const Repository& repository,
                std::string_view stanza,
                const Cluster& cluster,
                const WalObjectName& name,
                Sink& out)
{
    const std::string path = object_path(stanza, cluster.id, name);
    const auto wal_name = postgres::parse_wal_file_name(name.wal_name);
    const bool is_segment = wal_name && postgres::holds_wal(wal_name->kind);
    const std::uint64_t limit = is_segment ? cluster.wal_segment_size : kHistoryLimit;
    WalDigest digest(name.digest);
    bool is_digested = is_plain_file(repository, name);
    std::uint64_t size = 0;
    read_stretches(repository, path, name, [&](ByteView stretch) {
        if (size == 0) {
            const auto is_right = has_right_header(stretch, cluster, name);
            if (is_right == false) {
                raise_other_contents(path);
            }
            is_digested = is_digested || !is_right;
        }
        size += stretch.size();
        if (size > limit) {
            raise(
                ErrorCode::format, "'{}' in the repository holds more than {} bytes", path, limit);
        }
        if (is_digested) {
            digest.update(stretch);
        }
        out.write(stretch);
    });
    const bool is_short =
        wal_name && wal_name->kind == postgres::WalFileKind::segment && size != limit;
    if (is_short || (is_digested && digest.finish() != name.digest)) {
        raise_other_contents(path);
    }
}

void check_wal(const Repository& repository,
               std::string_view stanza,
               const Cluster& cluster,
               const WalObjectName& name)
{
    const std::string path = object_path(stanza, cluster.id, name);
    const auto wal_name = postgres::parse_wal_file_name(name.wal_name);
    const bool is_wal = wal_name && postgres::holds_wal(wal_name->kind);
    const bool is_segment = wal_name && wal_name->kind == postgres::WalFileKind::segment;
    const bool is_history = wal_name && wal_name->kind == postgres::WalFileKind::history;
    WalDigest digest(name.digest);
    std::uint64_t size = 0;
    bool is_right = true;
    Buffer history;
    read_stretches(repository, path, name, [&](ByteView stretch) {
        if (size == 0 && is_wal) {
            is_right = has_right_header(stretch, cluster, name).value_or(false);
        }
        size += stretch.size();
        digest.update(stretch);
        if (is_history && size <= kHistoryLimit) {
            history.append(stretch);
        }
    });
    if (digest.finish() != name.digest) {
        raise_other_contents(path);
    }
    if (is_segment ? size != cluster.wal_segment_size
                   : size > (is_wal ? cluster.wal_segment_size : kHistoryLimit)) {
        raise_other_size(path, size, is_wal ? cluster.wal_segment_size : kHistoryLimit);
    }
    if (!is_right) {
        raise(ErrorCode::archive_mismatch,
              "'{}' in the repository is not WAL of this cluster and place",
              path);
    }
    if (is_history) {
        check_history(as_text(history), wal_name->timeline, path);
    }
}

void check_stored_wal(const Repository& repository,
                      std::string_view stanza,
                      const Cluster& cluster,
                      const WalObjectName& name)
{
    const auto wal_name = postgres::parse_wal_file_name(name.wal_name);
    if (!wal_name || wal_name->kind != postgres::WalFileKind::segment ||
        is_plain_file(repository, name)) {
        check_wal(repository, stanza, cluster, name);
        return;
    }
    const std::string path = object_path(stanza, cluster.id, name);
    const auto file = repository.storage().open(path);
    Buffer window;
    const ReadAheadSource source(*file, window);
    codec::ObjectReader reader(source, identity_of(path, name), repository.cipher());
    std::uint64_t size = 0;
    for (std::uint32_t raw_size = 0; reader.check_next(raw_size);) {
        size += raw_size;
    }
    if (size != cluster.wal_segment_size) {
        raise_other_size(path, size, cluster.wal_segment_size);
    }
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

std::vector<std::string>
list_all_segments(const Repository& repository, std::string_view stanza, ArchiveId id)
{
    const std::vector<std::string> directories = segment_directories(repository, stanza, id);
    const std::string archive = archive_path(stanza, id);
    std::vector<std::vector<std::string>> found(directories.size());
    parallel_for_each(
        std::min(kListers, 1 + directories.size() / 4), directories.size(), [&](std::size_t i) {
            found[i] = segments_in(repository, fmt::format("{}/{}", archive, directories[i]));
        });
    std::vector<std::string> all;
    for (std::vector<std::string>& names : found) {
        std::ranges::move(names, std::back_inserter(all));
    }
    return all;
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
