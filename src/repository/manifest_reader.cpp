// SPDX-License-Identifier: PostgreSQL
#include "repository/extent_codec.hpp"
#include "repository/manifest_records.hpp"

#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/util/path.hpp"

#include <bit>
#include <cstring>
#include <limits>

namespace pgstrata::repository {

namespace {

bool is_segment_or_empty(std::string_view name)
{
    const auto parsed = postgres::parse_wal_file_name(name);
    return name.empty() || (parsed && parsed->kind == postgres::WalFileKind::segment);
}

// What others compute with and look up must be possible.
void check_header(const ManifestHeader& header, SerialReader& in)
{
    const auto label = parse_backup_label(header.label);
    const bool is_full = header.type == BackupType::full;
    if (!label || label->type != header.type || header.prior.empty() != is_full ||
        (!is_full && !parse_backup_label(header.prior))) {
        in.fail("an unknown backup type or label");
    }
    if (!std::has_single_bit(header.page_size) || header.page_size < 1024 ||
        header.page_size > 32768 || header.segment_pages == 0 ||
        !postgres::is_wal_segment_size(header.wal_segment_size)) {
        in.fail("sizes that no server has");
    }
    if (!is_segment_or_empty(header.start_wal) || !is_segment_or_empty(header.stop_wal)) {
        in.fail("an invalid name of a WAL segment");
    }
}

ManifestHeader decode_manifest_header(SerialReader& in)
{
    ManifestHeader header;
    if (in.u8() != kManifestVersion) {
        in.fail("a manifest of another version");
    }
    header.label = in.text();
    const std::uint8_t type = in.u8();
    if (type > static_cast<std::uint8_t>(BackupType::incr)) {
        in.fail("an unknown backup type");
    }
    header.type = static_cast<BackupType>(type);
    header.prior = in.text();
    header.program_version = in.text();
    header.archive_id.major = in.varint_u32();
    header.archive_id.number = in.varint_u32();
    header.system_identifier = in.u64();
    header.control_version = in.varint_u32();
    header.catalog_version = in.varint_u32();
    header.page_size = in.varint_u32();
    header.segment_pages = in.varint_u32();
    header.wal_segment_size = in.varint_u32();
    header.data_checksum_version = in.varint_u32();
    header.is_online = in.u8() != 0;
    header.has_page_checks = in.u8() != 0;
    header.start_time = in.signed_varint();
    header.copy_time = in.signed_varint();
    header.stop_time = in.signed_varint();
    header.timeline = in.varint_u32();
    header.start_lsn.value = in.u64();
    header.stop_lsn.value = in.u64();
    header.start_wal = in.text();
    header.stop_wal = in.text();
    header.data_directory = in.text();
    header.backup_label = in.text();
    header.tablespace_map = in.text();
    check_header(header, in);
    return header;
}

} // namespace

class ManifestDecoder {
public:
    explicit ManifestDecoder(Manifest& manifest) : manifest_(manifest) {}

    // A file's record fills `file`, all others go into the manifest.
    RecordKind decode(SerialReader& in, ManifestFile& file)
    {
        const auto kind = static_cast<RecordKind>(in.u8());
        const bool is_first = last_ == RecordKind::none;
        if (kind < last_ || is_first != (kind == RecordKind::header)) {
            in.fail("records are out of order");
        }
        last_ = kind;
        switch (kind) {
        case RecordKind::header:
            manifest_.header = decode_manifest_header(in);
            page_size_ = manifest_.header.page_size;
            break;
        case RecordKind::pack:
            decode_pack(in);
            break;
        case RecordKind::name:
            manifest_.names.emplace_back(in.text(256));
            ++names_;
            break;
        case RecordKind::directory:
            decode_directory(in);
            break;
        case RecordKind::link:
            decode_link(in);
            break;
        case RecordKind::database:
            manifest_.databases.push_back(
                {in.varint_u32(), std::string(in.text(1024)), in.u8() != 0});
            break;
        case RecordKind::tablespace:
            manifest_.tablespaces.push_back({in.varint_u32(), std::string(in.text(1024))});
            break;
        case RecordKind::file:
            decode_file(in, file);
            break;
        case RecordKind::end:
            if (in.varint() != files_) {
                in.fail("files are missing");
            }
            break;
        default:
            in.fail("an unknown kind of record");
        }
        if (!in.at_end()) {
            in.fail("a record is too long");
        }
        return kind;
    }

private:
    void decode_pack(SerialReader& in)
    {
        PackInfo pack{{std::string(in.text(64)), 0}, 0};
        pack.name.number = in.varint_u32();
        pack.size = in.varint();
        pack_sizes_.push_back(pack.size);
        if (!parse_backup_label(pack.name.label)) {
            in.fail("an invalid label");
        }
        if (!manifest_.packs.empty() && manifest_.packs.back().name >= pack.name) {
            in.fail("packs are out of order");
        }
        manifest_.packs.push_back(std::move(pack));
    }

    std::uint16_t take_owner(SerialReader& in) const
    {
        const std::uint64_t owner = in.varint(std::numeric_limits<std::uint16_t>::max());
        if (owner >= names_) {
            in.fail("an unknown owner");
        }
        return static_cast<std::uint16_t>(owner);
    }

    void decode_directory(SerialReader& in)
    {
        ManifestDirectory directory;
        directory.path = in.text(4096);
        directory.mode = static_cast<std::uint32_t>(in.varint(07777));
        directory.user = take_owner(in);
        directory.group = take_owner(in);
        if (!directory.path.empty() && !is_safe_relative_path(directory.path)) {
            in.fail("a directory outside the data directory");
        }
        manifest_.directories.push_back(std::move(directory));
    }

    void decode_link(SerialReader& in)
    {
        ManifestLink link;
        link.path = in.text(4096);
        link.destination = in.text(4096);
        link.is_directory = in.u8() != 0;
        link.mode = static_cast<std::uint32_t>(in.varint(07777));
        link.user = take_owner(in);
        link.group = take_owner(in);
        if (!is_safe_relative_path(link.path) || link.destination.empty() ||
            link.destination.find('\0') != std::string::npos) {
            in.fail("a link outside the data directory");
        }
        manifest_.links.push_back(std::move(link));
    }

    Extent take_extent(SerialReader& in) const
    {
        const Extent extent = decode_extent(in);
        if (extent.size == 0 || extent.pack >= pack_sizes_.size() ||
            extent.offset > pack_sizes_[extent.pack] ||
            extent.length > pack_sizes_[extent.pack] - extent.offset) {
            in.fail("an extent outside its pack");
        }
        return extent;
    }

    bool is_paged_size(std::uint64_t size) const { return size != 0 && size % page_size_ == 0; }

    void check_file(const ManifestFile& file, SerialReader& in) const
    {
        std::uint64_t bytes = 0;
        for (const Extent& extent : file.extents) {
            bytes += extent.size;
        }
        const bool sizes_fit = file.content == ContentKind::empty ? file.size == 0 && bytes == 0
                               : file.content == ContentKind::whole
                                   ? bytes == file.size
                                   : is_paged_size(file.size) && bytes != 0;
        if (!sizes_fit) {
            in.fail("the sizes of a file do not add up");
        }
        if (!is_safe_relative_path(file.path) || (files_ != 0 && last_path_ >= file.path)) {
            in.fail("a file's path is out of order or leaves the data directory");
        }
    }

    void decode_file(SerialReader& in, ManifestFile& file)
    {
        const std::size_t shared = in.varint(last_path_.size());
        const std::string_view rest = in.text(4096);
        file = {};
        file.path.reserve(shared + rest.size());
        file.path.append(last_path_, 0, shared).append(rest);
        file.size = in.varint();
        file.mtime = in.signed_varint();
        file.mode = static_cast<std::uint32_t>(in.varint(07777));
        file.user = take_owner(in);
        file.group = take_owner(in);
        const std::uint8_t flags = in.u8();
        const auto content = static_cast<std::uint8_t>(flags & kContentMask);
        if (content > static_cast<std::uint8_t>(ContentKind::paged)) {
            in.fail("an unknown kind of content");
        }
        file.content = static_cast<ContentKind>(content);
        file.is_damaged = (flags & kDamagedFlag) != 0;
        if (file.content == ContentKind::whole) {
            std::memcpy(file.digest.data(), in.raw(file.digest.size()).data(), file.digest.size());
        }
        file.extents.resize(in.varint(in.remaining() / kSmallestExtent));
        for (Extent& extent : file.extents) {
            extent = take_extent(in);
        }
        if (file.is_damaged) {
            file.bad_pages.resize(in.varint(in.remaining()));
            for (std::uint32_t& page : file.bad_pages) {
                page = in.varint_u32();
            }
        }
        check_file(file, in);
        last_path_ = file.path;
        ++files_;
    }

    Manifest& manifest_;
    // What files are checked against, when `manifest_` may have been moved from.
    std::vector<std::uint64_t> pack_sizes_;
    std::size_t names_ = 0;
    std::uint32_t page_size_ = 0;
    RecordKind last_ = RecordKind::none;
    std::string last_path_;
    std::uint64_t files_ = 0;
};

struct ManifestReader::State : NonCopyable {
    State(const Repository& repository, const std::string& path)
        : source(repository.storage().open(path)),
          object(*source, {codec::ObjectKind::manifest, path}, repository.cipher()),
          records(object, fmt::format("'{}' in the repository", path)), decoder(head)
    {
    }

    RecordKind read_record()
    {
        SerialReader fields(records.next(), records.what());
        return decoder.decode(fields, file);
    }

    std::unique_ptr<RandomSource> source;
    codec::ObjectReader object;
    RecordReader records;
    Manifest head;
    ManifestDecoder decoder;
    ManifestFile file; // read ahead
    RecordKind last = RecordKind::none;
    bool is_checked = false; // to its end
};

ManifestReader::ManifestReader(const Repository& repository,
                               std::string_view stanza,
                               std::string_view label)
    : state_(std::make_unique<State>(repository, manifest_path(stanza, label)))
{
    State& state = *state_;
    while (state.last < RecordKind::file) {
        state.last = state.read_record();
    }
    if (state.head.header.label != label) {
        raise(ErrorCode::format,
              "{} belongs to the backup '{}'",
              state.records.what(),
              state.head.header.label);
    }
}

ManifestReader::~ManifestReader() = default;

Manifest& ManifestReader::head() noexcept
{
    return state_->head;
}

bool ManifestReader::next(ManifestFile& file)
{
    State& state = *state_;
    if (state.last == RecordKind::end) {
        if (!state.is_checked) {
            state.records.expect_end();
            state.is_checked = true;
        }
        return false;
    }
    file = std::move(state.file);
    state.last = state.read_record();
    return true;
}

Manifest
read_manifest(const Repository& repository, std::string_view stanza, std::string_view label)
{
    ManifestReader reader(repository, stanza, label);
    std::vector<ManifestFile> files;
    for (ManifestFile file; reader.next(file);) {
        files.push_back(std::move(file));
    }
    Manifest manifest = std::move(reader.head());
    manifest.files = std::move(files);
    return manifest;
}

} // namespace pgstrata::repository
