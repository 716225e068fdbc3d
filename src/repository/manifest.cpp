// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/manifest.hpp"

#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/serial.hpp"

#include <algorithm>
#include <bit>
#include <limits>

// The raw bytes are a series of records: varint length, u8 kind, fields. Records run on from frame
// to frame.
namespace pgstrata::repository {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kRecordLimit = 256U << 20U;
constexpr std::uint8_t kContentMask = 0x0F;
constexpr std::uint8_t kDamagedFlag = 0x10;
// Five numbers of a byte each: bounds what a count of extents may allocate.
constexpr std::size_t kSmallestExtent = 5;
constexpr int kManifestLevel = 3;

enum class RecordKind : std::uint8_t {
    none = 0,
    header = 1,
    pack,
    name,
    directory,
    link,
    database,
    tablespace,
    file,
    end,
};

// Collects records and cuts them into frames.
class RecordWriter : NonCopyable {
public:
    explicit RecordWriter(codec::ObjectWriter& out) : out_(out), compressor_(kManifestLevel) {}

    template <typename Fill>
    void record(RecordKind kind, const Fill& fill)
    {
        record_.clear();
        SerialWriter fields(record_);
        fields.u8(static_cast<std::uint8_t>(kind));
        fill(fields);
        SerialWriter(pending_).varint(record_.size());
        pending_.append(record_);
        if (pending_.size() >= codec::kFrameRawLimit) {
            flush_whole_frames();
        }
    }

    void finish()
    {
        flush_whole_frames();
        if (!pending_.empty()) {
            out_.append(codec::make_frame_body(pending_, &compressor_, scratch_));
        }
        out_.finish();
    }

private:
    void flush_whole_frames()
    {
        std::size_t done = 0;
        while (pending_.size() - done >= codec::kFrameRawLimit) {
            const ByteView frame = pending_.view().subspan(done, codec::kFrameRawLimit);
            out_.append(codec::make_frame_body(frame, &compressor_, scratch_));
            done += frame.size();
        }
        pending_.drop_front(done);
    }

    codec::ObjectWriter& out_;
    codec::ZstdCompressor compressor_;
    Buffer record_;
    Buffer pending_;
    Buffer scratch_;
};

// Gives record after record; holds one frame and one record at a time.
class RecordReader : NonCopyable {
public:
    RecordReader(codec::ObjectReader& in, std::string what) : in_(in), what_(std::move(what)) {}

    // The bytes of the next record, valid until the next call. Throws Error(format) when there is
    // none.
    ByteView next()
    {
        std::uint64_t size = 0;
        while (!take_length(size)) {
            refill();
        }
        while (pending_.size() - position_ < size) {
            refill();
        }
        const ByteView record = pending_.view().subspan(position_, size);
        position_ += size;
        return record;
    }

    // Nothing may follow the last record.
    void expect_end()
    {
        if (position_ != pending_.size() || in_.next(frame_)) {
            raise(ErrorCode::format, "{} is invalid: there are bytes after its end", what_);
        }
    }

private:
    // A varint may be cut by a frame's border: then it is read again when more is there.
    bool take_length(std::uint64_t& size)
    {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < 5 && position_ + i < pending_.size(); ++i) {
            const auto byte = std::to_integer<std::uint64_t>(pending_.view()[position_ + i]);
            value |= (byte & 0x7FU) << (7 * i);
            if ((byte & 0x80U) == 0) {
                if (value == 0 || value > kRecordLimit || byte == 0) {
                    raise(ErrorCode::format, "{} is invalid: a record of {} bytes", what_, value);
                }
                position_ += i + 1;
                size = value;
                return true;
            }
        }
        if (pending_.size() - position_ >= 5) {
            raise(ErrorCode::format, "{} is invalid: a record's length is too long", what_);
        }
        return false;
    }

    void refill()
    {
        pending_.drop_front(position_);
        position_ = 0;
        if (!in_.next(frame_)) {
            raise(ErrorCode::format, "{} is invalid: it ends too early", what_);
        }
        pending_.append(frame_);
    }

    codec::ObjectReader& in_;
    std::string what_;
    Buffer frame_;
    Buffer pending_;
    std::size_t position_ = 0;
};

void encode_header(const ManifestHeader& header, SerialWriter& out)
{
    out.u8(kVersion);
    out.text(header.label);
    out.u8(static_cast<std::uint8_t>(header.type));
    out.text(header.prior);
    out.text(header.program_version);
    out.varint(header.archive_id.major);
    out.varint(header.archive_id.number);
    out.u64(header.system_identifier);
    out.varint(header.control_version);
    out.varint(header.catalog_version);
    out.varint(header.page_size);
    out.varint(header.segment_pages);
    out.varint(header.wal_segment_size);
    out.varint(header.data_checksum_version);
    out.u8(header.is_online ? 1 : 0);
    out.u8(header.has_page_checks ? 1 : 0);
    out.signed_varint(header.start_time);
    out.signed_varint(header.copy_time);
    out.signed_varint(header.stop_time);
    out.varint(header.timeline);
    out.u64(header.start_lsn.value);
    out.u64(header.stop_lsn.value);
    out.text(header.start_wal);
    out.text(header.stop_wal);
    out.text(header.data_directory);
    out.text(header.backup_label);
    out.text(header.tablespace_map);
}

std::uint32_t take_u32(SerialReader& in)
{
    return static_cast<std::uint32_t>(in.varint(std::numeric_limits<std::uint32_t>::max()));
}

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

ManifestHeader decode_header(SerialReader& in)
{
    ManifestHeader header;
    if (in.u8() != kVersion) {
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
    header.archive_id.major = take_u32(in);
    header.archive_id.number = take_u32(in);
    header.system_identifier = in.u64();
    header.control_version = take_u32(in);
    header.catalog_version = take_u32(in);
    header.page_size = take_u32(in);
    header.segment_pages = take_u32(in);
    header.wal_segment_size = take_u32(in);
    header.data_checksum_version = take_u32(in);
    header.is_online = in.u8() != 0;
    header.has_page_checks = in.u8() != 0;
    header.start_time = in.signed_varint();
    header.copy_time = in.signed_varint();
    header.stop_time = in.signed_varint();
    header.timeline = take_u32(in);
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

void encode_file(const ManifestFile& file, std::string_view previous, SerialWriter& out)
{
    const auto [end, ignored] = std::ranges::mismatch(file.path, previous);
    const auto shared = static_cast<std::size_t>(end - file.path.begin());
    out.varint(shared);
    out.text(std::string_view(file.path).substr(shared));
    out.varint(file.size);
    out.signed_varint(file.mtime);
    out.varint(file.mode);
    out.varint(file.user);
    out.varint(file.group);
    out.u8(static_cast<std::uint8_t>(static_cast<unsigned>(file.content) |
                                     (file.is_damaged ? kDamagedFlag : 0U)));
    if (file.content == ContentKind::whole) {
        out.raw(file.digest);
    }
    out.varint(file.extents.size());
    for (const Extent& extent : file.extents) {
        out.varint(extent.pack);
        out.varint(extent.offset);
        out.varint(extent.length);
        out.varint(extent.position);
        out.varint(extent.size);
    }
    if (file.is_damaged) {
        out.varint(file.bad_pages.size());
        for (const std::uint32_t page : file.bad_pages) {
            out.varint(page);
        }
    }
}

class Decoder {
public:
    explicit Decoder(Manifest& manifest) : manifest_(manifest) {}

    // False for the end record.
    bool decode(SerialReader& in)
    {
        const auto kind = static_cast<RecordKind>(in.u8());
        const bool is_first = last_ == RecordKind::none;
        if (kind < last_ || is_first != (kind == RecordKind::header)) {
            in.fail("records are out of order");
        }
        last_ = kind;
        switch (kind) {
        case RecordKind::header:
            manifest_.header = decode_header(in);
            break;
        case RecordKind::pack:
            decode_pack(in);
            break;
        case RecordKind::name:
            manifest_.names.emplace_back(in.text(256));
            break;
        case RecordKind::directory:
            decode_directory(in);
            break;
        case RecordKind::link:
            decode_link(in);
            break;
        case RecordKind::database:
            manifest_.databases.push_back({take_u32(in), std::string(in.text(1024)), in.u8() != 0});
            break;
        case RecordKind::tablespace:
            manifest_.tablespaces.push_back({take_u32(in), std::string(in.text(1024))});
            break;
        case RecordKind::file:
            decode_file(in);
            break;
        case RecordKind::end:
            if (in.varint() != manifest_.files.size()) {
                in.fail("files are missing");
            }
            break;
        default:
            in.fail("an unknown kind of record");
        }
        if (!in.at_end()) {
            in.fail("a record is too long");
        }
        return kind != RecordKind::end;
    }

private:
    void decode_pack(SerialReader& in)
    {
        PackInfo pack{{std::string(in.text(64)), 0}, 0};
        pack.name.number = take_u32(in);
        pack.size = in.varint();
        if (!parse_backup_label(pack.name.label)) {
            in.fail("an invalid label");
        }
        manifest_.packs.push_back(std::move(pack));
    }

    std::uint16_t take_owner(SerialReader& in) const
    {
        const std::uint64_t owner = in.varint(std::numeric_limits<std::uint16_t>::max());
        if (owner >= manifest_.names.size()) {
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

    Extent decode_extent(SerialReader& in) const
    {
        Extent extent;
        extent.pack = take_u32(in);
        extent.offset = in.varint();
        extent.length = take_u32(in);
        extent.position = static_cast<std::uint32_t>(in.varint(codec::kFrameRawLimit));
        extent.size =
            static_cast<std::uint32_t>(in.varint(codec::kFrameRawLimit - extent.position));
        if (extent.size == 0 || extent.pack >= manifest_.packs.size() ||
            extent.offset > manifest_.packs[extent.pack].size ||
            extent.length > manifest_.packs[extent.pack].size - extent.offset) {
            in.fail("an extent outside its pack");
        }
        return extent;
    }

    bool is_paged_size(std::uint64_t size) const
    {
        return size != 0 && size % manifest_.header.page_size == 0;
    }

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
        if (!is_safe_relative_path(file.path) ||
            (!manifest_.files.empty() && manifest_.files.back().path >= file.path)) {
            in.fail("a file's path is out of order or leaves the data directory");
        }
    }

    void decode_file(SerialReader& in)
    {
        ManifestFile file;
        const std::string_view previous =
            manifest_.files.empty() ? std::string_view() : manifest_.files.back().path;
        const std::size_t shared = in.varint(previous.size());
        const std::string_view rest = in.text(4096);
        file.path.reserve(shared + rest.size());
        file.path.append(previous.substr(0, shared)).append(rest);
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
            extent = decode_extent(in);
        }
        if (file.is_damaged) {
            file.bad_pages.resize(in.varint(in.remaining()));
            for (std::uint32_t& page : file.bad_pages) {
                page = take_u32(in);
            }
        }
        check_file(file, in);
        manifest_.files.push_back(std::move(file));
    }

    Manifest& manifest_;
    RecordKind last_ = RecordKind::none;
};

void write_records(const Manifest& manifest, RecordWriter& out)
{
    out.record(RecordKind::header,
               [&](SerialWriter& fields) { encode_header(manifest.header, fields); });
    for (const PackInfo& pack : manifest.packs) {
        out.record(RecordKind::pack, [&](SerialWriter& fields) {
            fields.text(pack.name.label);
            fields.varint(pack.name.number);
            fields.varint(pack.size);
        });
    }
    for (const std::string& name : manifest.names) {
        out.record(RecordKind::name, [&](SerialWriter& fields) { fields.text(name); });
    }
    for (const ManifestDirectory& directory : manifest.directories) {
        out.record(RecordKind::directory, [&](SerialWriter& fields) {
            fields.text(directory.path);
            fields.varint(directory.mode);
            fields.varint(directory.user);
            fields.varint(directory.group);
        });
    }
    for (const ManifestLink& link : manifest.links) {
        out.record(RecordKind::link, [&](SerialWriter& fields) {
            fields.text(link.path);
            fields.text(link.destination);
            fields.u8(link.is_directory ? 1 : 0);
            fields.varint(link.mode);
            fields.varint(link.user);
            fields.varint(link.group);
        });
    }
    for (const ManifestDatabase& database : manifest.databases) {
        out.record(RecordKind::database, [&](SerialWriter& fields) {
            fields.varint(database.oid);
            fields.text(database.name);
            fields.u8(database.is_template ? 1 : 0);
        });
    }
    for (const ManifestTablespace& tablespace : manifest.tablespaces) {
        out.record(RecordKind::tablespace, [&](SerialWriter& fields) {
            fields.varint(tablespace.oid);
            fields.text(tablespace.name);
        });
    }
    std::string_view previous;
    for (const ManifestFile& file : manifest.files) {
        out.record(RecordKind::file,
                   [&](SerialWriter& fields) { encode_file(file, previous, fields); });
        previous = file.path;
    }
    out.record(RecordKind::end,
               [&](SerialWriter& fields) { fields.varint(manifest.files.size()); });
}

} // namespace

std::uint64_t
write_manifest(const Repository& repository, std::string_view stanza, const Manifest& manifest)
{
    const std::string path = manifest_path(stanza, manifest.header.label);
    const auto file = repository.storage().create(path);
    codec::ObjectWriter object(*file, {codec::ObjectKind::manifest, path}, repository.cipher());
    RecordWriter records(object);
    write_records(manifest, records);
    records.finish();
    file->commit();
    return object.size();
}

Manifest
read_manifest(const Repository& repository, std::string_view stanza, std::string_view label)
{
    const std::string path = manifest_path(stanza, label);
    const auto source = repository.storage().open(path);
    codec::ObjectReader object(*source, {codec::ObjectKind::manifest, path}, repository.cipher());
    const std::string what = fmt::format("'{}' in the repository", path);
    RecordReader records(object, what);
    Manifest manifest;
    Decoder decoder(manifest);
    for (bool goes_on = true; goes_on;) {
        SerialReader fields(records.next(), what);
        goes_on = decoder.decode(fields);
    }
    records.expect_end();
    if (manifest.header.label != label) {
        raise(ErrorCode::format, "{} belongs to the backup '{}'", what, manifest.header.label);
    }
    return manifest;
}

} // namespace pgstrata::repository
