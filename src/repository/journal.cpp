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
#include <limits>

// The raw bytes of every frame are whole records: varint length, u8 kind, fields. The first record
// of a journal is the header.
namespace pgstrata::repository {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr int kJournalLevel = 1;

enum class JournalRecord : std::uint8_t { header = 1, file = 2, pages = 3 };

void encode_header(const JournalHeader& header, Buffer& record)
{
    SerialWriter out(record);
    out.u8(static_cast<std::uint8_t>(JournalRecord::header));
    out.u8(kVersion);
    out.u8(static_cast<std::uint8_t>(header.type));
    out.text(header.prior);
    out.varint(header.archive_id.major);
    out.varint(header.archive_id.number);
    out.varint(header.page_size);
}

std::uint32_t take_u32(SerialReader& in)
{
    return static_cast<std::uint32_t>(in.varint(std::numeric_limits<std::uint32_t>::max()));
}

JournalHeader decode_header(SerialReader& in)
{
    JournalHeader header;
    if (in.u8() != kVersion) {
        in.fail("a journal of another version");
    }
    const std::uint8_t type = in.u8();
    if (type > static_cast<std::uint8_t>(BackupType::incr)) {
        in.fail("an unknown backup type");
    }
    header.type = static_cast<BackupType>(type);
    header.prior = in.text(64);
    header.archive_id.major = take_u32(in);
    header.archive_id.number = take_u32(in);
    header.page_size = take_u32(in);
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
    if (bytes != file.size) {
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
    encode_header(header_, record_);
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

struct DurableWork::OpenJournal : NonCopyable {
    OpenJournal(const Repository& repository, const std::string& path)
        : source(repository.storage().open(path)),
          reader(*source, {codec::ObjectKind::journal, path}, repository.cipher()), what(path)
    {
    }

    std::unique_ptr<RandomSource> source;
    codec::ObjectReader reader;
    std::string what;
    codec::FramePlace at; // of `raw`
    Buffer raw;
};

// A record in a journal.
struct DurableWork::Place {
    std::uint32_t journal = 0; // position in journals_
    codec::FramePlace frame;
    std::uint32_t position = 0;
    std::uint32_t size = 0;
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
        try {
            read_journal(number);
        } catch (const Error& error) {
            log::warn("journal {} of backup {} is passed over: {}", number, label_, error.what());
        }
    }
    prove_packs(workers);
    if (packs_.empty()) {
        header_.reset();
    }
}

DurableWork::~DurableWork() = default;

void DurableWork::read_journal(std::uint32_t number)
{
    auto journal =
        std::make_unique<OpenJournal>(repository_, journal_path(stanza_, label_, number));
    const auto position = static_cast<std::uint32_t>(journals_.size());
    std::vector<std::pair<std::string, Place>> found;
    std::optional<JournalHeader> header;
    while (journal->reader.next(journal->raw)) {
        journal->at = journal->reader.place();
        SerialReader in(journal->raw, journal->what);
        while (!in.at_end()) {
            const ByteView record = take_record(in);
            SerialReader fields(record, journal->what);
            if (static_cast<JournalRecord>(fields.u8()) == JournalRecord::header) {
                header = decode_header(fields);
                continue;
            }
            found.emplace_back(
                fields.text(4096),
                Place{position,
                      journal->at,
                      static_cast<std::uint32_t>(record.data() - journal->raw.data()),
                      static_cast<std::uint32_t>(record.size())});
        }
    }
    if (!header || (header_ && *header != *header_)) {
        raise(ErrorCode::format, "'{}' in the repository belongs to another backup", journal->what);
    }
    header_ = header;
    for (auto& [path, place] : found) {
        places_[std::move(path)].push_back(place);
    }
    packs_.push_back({{label_, number}, 0});
    journals_.push_back(std::move(journal));
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
    return std::ranges::all_of(extents, [&](const Extent& extent) {
        const auto pack = find_pack(packs_, {label_, extent.pack});
        return pack && extent.offset <= packs_[*pack].size &&
               extent.length <= packs_[*pack].size - extent.offset;
    });
}

template <typename Visit>
void DurableWork::visit_records(std::string_view path, const Visit& visit) const
{
    const auto known = places_.find(std::string(path));
    if (known == places_.end()) {
        return;
    }
    const std::lock_guard lock(read_mutex_);
    for (const Place& place : known->second) {
        OpenJournal& journal = *journals_[place.journal];
        if (journal.at.offset != place.frame.offset) {
            journal.at = {};
            journal.reader.read(place.frame, journal.raw);
            journal.at = place.frame;
        }
        SerialReader fields(journal.raw.view().subspan(place.position, place.size), journal.what);
        const auto kind = static_cast<JournalRecord>(fields.u8());
        fields.text();
        visit(kind, fields, journal.what);
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
        if (has_packs(piece.extents)) {
            pieces.push_back(std::move(piece));
        }
    });
    return pieces;
}

void remove_journals(const Repository& repository, std::string_view stanza, std::string_view label)
{
    storage::Storage& storage = repository.storage();
    const std::string directory = journal_path(stanza, label);
    std::vector<std::string> names;
    storage.list(directory, [&](const storage::EntryInfo& entry) { names.push_back(entry.name); });
    for (const std::string& name : names) {
        storage.remove(directory + "/" + name);
    }
    storage.remove_directory(directory);
}

} // namespace pgstrata::repository
