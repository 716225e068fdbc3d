// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/journal.hpp"

#include "repository/extent_codec.hpp"

#include "pgstrata/codec/zstd.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/serial.hpp"

#include <algorithm>
#include <cstring>

// The raw bytes of every frame are whole records: varint length, u8 kind, fields. The first record
// of a journal is the header.
namespace pgstrata::repository {

namespace {

constexpr std::uint8_t kJournalVersion = 1;
constexpr int kJournalLevel = 1;
constexpr std::size_t kPathLimit = 4096;

enum class JournalRecord : std::uint8_t { header = 1, file = 2, pages = 3 };

void encode_journal_header(const JournalHeader& header, Buffer& record)
{
    SerialWriter out(record);
    out.u8(static_cast<std::uint8_t>(JournalRecord::header));
    out.u8(kJournalVersion);
    out.u8(static_cast<std::uint8_t>(header.type));
    out.text(header.prior);
    out.varint(header.archive_id.major);
    out.varint(header.archive_id.number);
    out.varint(header.page_size);
}

JournalHeader decode_journal_header(SerialReader& in)
{
    JournalHeader header;
    if (in.u8() != kJournalVersion) {
        in.fail("a journal of another version");
    }
    const std::uint8_t type = in.u8();
    if (type > static_cast<std::uint8_t>(BackupType::incr)) {
        in.fail("an unknown backup type");
    }
    header.type = static_cast<BackupType>(type);
    header.prior = in.text(64);
    header.archive_id.major = in.varint_u32();
    header.archive_id.number = in.varint_u32();
    header.page_size = in.varint_u32();
    if (!in.at_end()) {
        in.fail("a record is too long");
    }
    return header;
}

StoredFile decode_file(SerialReader& in)
{
    StoredFile file;
    file.size = in.varint();
    std::memcpy(file.digest.data(), in.raw(file.digest.size()).data(), file.digest.size());
    file.extents.resize(in.varint(in.remaining() / kSmallestExtent));
    std::uint64_t bytes = 0;
    for (Extent& extent : file.extents) {
        extent = decode_extent(in);
        bytes += extent.size;
    }
    const bool has_nothing =
        std::ranges::any_of(file.extents, [](const Extent& extent) { return extent.size == 0; });
    if (bytes != file.size || has_nothing || !in.at_end()) {
        in.fail("the sizes of a file do not add up");
    }
    return file;
}

ByteView take_record(SerialReader& in)
{
    return in.raw(in.varint(codec::kFrameRawLimit));
}

} // namespace

void JournalWriter::add_file(std::string_view path, const StoredFile& file)
{
    record_.clear();
    SerialWriter out(record_);
    out.u8(static_cast<std::uint8_t>(JournalRecord::file));
    out.text(path);
    out.varint(file.size);
    out.raw(file.digest);
    out.varint(file.extents.size());
    for (const Extent& extent : file.extents) {
        encode_extent(extent, out);
    }
    add_record();
}

void JournalWriter::add_pages(std::string_view path, const PageMap& pages)
{
    record_.clear();
    SerialWriter out(record_);
    out.u8(static_cast<std::uint8_t>(JournalRecord::pages));
    out.text(path);
    encode_page_map(pages, record_);
    add_record();
}

// A record that no frame can take is left out: then its file is copied again.
void JournalWriter::add_record()
{
    constexpr std::size_t kLengthSize = 5;
    if (record_.size() + kLengthSize > codec::kFrameRawLimit) {
        return;
    }
    if (frames_.empty() ||
        frames_.back().size() + record_.size() + kLengthSize > codec::kFrameRawLimit) {
        frames_.emplace_back();
    }
    SerialWriter(frames_.back()).varint(record_.size());
    frames_.back().append(record_);
}

void JournalWriter::write(const Repository& repository,
                          std::string_view stanza,
                          std::string_view label,
                          std::uint32_t number)
{
    if (frames_.empty()) {
        return;
    }
    const std::string path = journal_path(stanza, label, number);
    const auto file = repository.storage().create(path);
    codec::ObjectWriter object(*file, {codec::ObjectKind::journal, path}, repository.cipher());
    codec::ZstdCompressor compressor(kJournalLevel);
    Buffer scratch;
    Buffer head;
    record_.clear();
    encode_journal_header(header_, record_);
    SerialWriter(head).varint(record_.size());
    head.append(record_);
    object.append(codec::make_frame_body(head, &compressor, scratch));
    for (const Buffer& frame : frames_) {
        object.append(codec::make_frame_body(frame, &compressor, scratch));
    }
    object.finish();
    file->commit();
    frames_.clear();
}

// A record in a journal.
struct DurableWork::Place {
    std::uint64_t path = 0; // its hash
    codec::FramePlace frame;
    std::uint32_t journal = 0;  // number
    std::uint32_t position = 0; // in the frame's raw bytes
    std::uint32_t size = 0;
};

struct DurableWork::OpenJournal : NonCopyable {
    OpenJournal(const Repository& repository, const std::string& path, std::uint32_t the_number)
        : number(the_number), source(repository.storage().open(path)),
          reader(*source, {codec::ObjectKind::journal, path}, repository.cipher()),
          what(fmt::format("'{}' in the repository", path))
    {
    }

    ByteView read_record(const Place& place)
    {
        if (at != place.frame.offset) {
            at = 0;
            reader.read(place.frame, raw);
            at = place.frame.offset;
        }
        if (place.position > raw.size() || place.size > raw.size() - place.position) {
            raise(ErrorCode::format, "{} is invalid: a frame is too short", what);
        }
        return raw.view().subspan(place.position, place.size);
    }

    std::uint32_t number;
    std::unique_ptr<RandomSource> source;
    codec::ObjectReader reader;
    std::string what;
    std::uint64_t at = 0; // of the frame whose bytes are in `raw`; 0 for none
    Buffer raw;
};

DurableWork::DurableWork(const Repository& repository,
                         std::string stanza,
                         std::string label,
                         std::size_t workers)
    : repository_(repository), stanza_(std::move(stanza)), label_(std::move(label))
{
    std::vector<std::uint32_t> numbers;
    repository_.storage().list(journal_path(stanza_, label_), [&](const storage::EntryInfo& entry) {
        if (const auto number = parse_pack_number(entry.name)) {
            numbers.push_back(*number);
        }
    });
    for (const std::uint32_t number : numbers) {
        check_cancelled();
        try {
            read_journal(number);
        } catch (const Error& error) {
            pass_over(number, error);
        }
    }
    std::ranges::stable_sort(places_, {}, &Place::path);
    prove_packs(workers);
    if (packs_.empty()) {
        header_.reset();
    }
}

DurableWork::~DurableWork() = default;

// What one journal cannot tell is copied again.
void DurableWork::pass_over(std::uint32_t number, const Error& error) const
{
    if (error.code() == ErrorCode::terminated) {
        throw Error(error);
    }
    log::warn("journal {} of backup {} is passed over: {}", number, label_, error.what());
}

void DurableWork::read_journal(std::uint32_t number)
{
    OpenJournal journal(repository_, journal_path(stanza_, label_, number), number);
    std::vector<Place> found;
    std::optional<JournalHeader> header;
    while (journal.reader.next(journal.raw)) {
        const codec::FramePlace frame = journal.reader.place();
        SerialReader in(journal.raw, journal.what);
        while (!in.at_end()) {
            const ByteView record = take_record(in);
            SerialReader fields(record, journal.what);
            const auto kind = static_cast<JournalRecord>(fields.u8());
            if ((kind == JournalRecord::header) == header.has_value()) {
                fields.fail("records are out of order");
            }
            if (!header) {
                header = decode_journal_header(fields);
                continue;
            }
            found.push_back({codec::xxh3_64(as_bytes(fields.text(kPathLimit))),
                             frame,
                             number,
                             static_cast<std::uint32_t>(record.data() - journal.raw.data()),
                             static_cast<std::uint32_t>(record.size())});
        }
    }
    if (!header || (header_ && *header != *header_)) {
        raise(ErrorCode::format, "{} belongs to another backup", journal.what);
    }
    header_ = header;
    places_.insert(places_.end(), found.begin(), found.end());
    packs_.push_back({{label_, number}, 0});
}

void DurableWork::prove_packs(std::size_t workers)
{
    std::vector<char> is_proven(packs_.size());
    parallel_for_each(workers, packs_.size(), [&](std::size_t i) {
        check_cancelled();
        const std::string path = pack_path(stanza_, label_, packs_[i].name.number);
        try {
            const auto source = repository_.storage().open(path);
            codec::ObjectReader reader(
                *source, {codec::ObjectKind::pack, path}, repository_.cipher());
            for (Buffer raw; reader.next(raw);) {
                check_cancelled();
            }
            packs_[i].size = source->size();
            is_proven[i] = 1;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::terminated) {
                throw;
            }
            log::warn("'{}' is not used again: {}", path, error.what());
        }
    });
    std::vector<PackInfo> proven;
    for (std::size_t i = 0; i < packs_.size(); ++i) {
        if (is_proven[i] != 0) {
            proven.push_back(std::move(packs_[i]));
        }
    }
    packs_ = std::move(proven);
    std::ranges::sort(packs_, {}, &PackInfo::name);
}

bool DurableWork::has_packs(const std::vector<Extent>& extents) const
{
    PackName name{label_, 0};
    return std::ranges::all_of(extents, [&](const Extent& extent) {
        name.number = extent.pack;
        const auto pack = find_pack(packs_, name);
        return pack && extent.offset <= packs_[*pack].size &&
               extent.length <= packs_[*pack].size - extent.offset;
    });
}

// Journals are as many as packs: only those used last stay open.
DurableWork::OpenJournal& DurableWork::open(std::uint32_t number) const
{
    constexpr std::size_t kOpenJournals = 16;
    const auto known = std::ranges::find(journals_, number, &OpenJournal::number);
    if (known != journals_.end()) {
        std::rotate(known, known + 1, journals_.end());
        return *journals_.back();
    }
    if (journals_.size() >= kOpenJournals) {
        journals_.erase(journals_.begin());
    }
    return *journals_.emplace_back(
        std::make_unique<OpenJournal>(repository_, journal_path(stanza_, label_, number), number));
}

template <typename Visit>
void DurableWork::visit_records(std::string_view path, const Visit& visit) const
{
    if (!header_) {
        return;
    }
    const std::uint64_t hash = codec::xxh3_64(as_bytes(path));
    const std::lock_guard lock(read_mutex_);
    auto place = std::ranges::lower_bound(places_, hash, {}, &Place::path);
    for (; place != places_.end() && place->path == hash; ++place) {
        try {
            OpenJournal& journal = open(place->journal);
            SerialReader fields(journal.read_record(*place), journal.what);
            const auto kind = static_cast<JournalRecord>(fields.u8());
            if (fields.text(kPathLimit) == path) {
                visit(kind, fields, journal.what);
            }
        } catch (const Error& error) {
            pass_over(place->journal, error);
        }
    }
}

std::optional<StoredFile> DurableWork::find_file(std::string_view path,
                                                 std::uint64_t size,
                                                 const codec::Digest128& digest) const
{
    std::optional<StoredFile> found;
    visit_records(path, [&](JournalRecord kind, SerialReader& fields, const std::string&) {
        if (kind != JournalRecord::file || found) {
            return;
        }
        StoredFile file = decode_file(fields);
        if (file.size == size && file.digest == digest && has_packs(file.extents)) {
            found = std::move(file);
        }
    });
    return found;
}

std::vector<PageMap> DurableWork::find_pages(std::string_view path) const
{
    std::vector<PageMap> pieces;
    visit_records(path, [&](JournalRecord kind, SerialReader& fields, const std::string& what) {
        if (kind != JournalRecord::pages) {
            return;
        }
        PageMap piece = decode_page_map(fields.raw(fields.remaining()), what);
        if (piece.page_size == header_->page_size && has_packs(piece.extents)) {
            pieces.push_back(std::move(piece));
        }
    });
    return pieces;
}

bool has_journal(const Repository& repository, std::string_view stanza, std::string_view label)
{
    bool has_any = false;
    repository.storage().list(journal_path(stanza, label),
                              [&](const storage::EntryInfo&) { has_any = true; });
    return has_any;
}

void remove_journals(const Repository& repository, std::string_view stanza, std::string_view label)
{
    storage::Storage& storage = repository.storage();
    const std::string directory = journal_path(stanza, label);
    std::vector<std::string> paths;
    storage.list(directory, [&](const storage::EntryInfo& entry) {
        paths.push_back(fmt::format("{}/{}", directory, entry.name));
    });
    storage.remove_all(paths);
    storage.remove_directory(directory);
}

} // namespace pgstrata::repository
