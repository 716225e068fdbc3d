// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/page_map.hpp"
#include "pgstrata/util/error.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a backup in progress has made durable, one journal a finished pack, so that a backup that
// died can be taken up again. Journals are removed when the backup is complete.
namespace pgstrata::repository {

// What must be the same for a backup to take over the work of one that died.
struct JournalHeader {
    BackupType type = BackupType::full;
    std::string prior; // label, empty for a full
    ArchiveId archive_id;
    std::uint32_t page_size = 0;
    bool operator==(const JournalHeader&) const = default;
};

// A file that was stored whole.
struct StoredFile {
    std::uint64_t size = 0;
    codec::Digest128 digest{};   // XXH3-128
    std::vector<Extent> extents; // packs by number in the backup
};

// Collects what the pack being written holds. One thread.
class JournalWriter : NonCopyable {
public:
    explicit JournalWriter(JournalHeader header) : header_(std::move(header)) {}
    void add_file(std::string_view path, const StoredFile& file);
    // Pages of a file; the map lists only these.
    void add_pages(std::string_view path, const PageMap& pages);
    // Writes what was collected as the journal of a pack, durable, and forgets it.
    void write(const Repository& repository,
               std::string_view stanza,
               std::string_view label,
               std::uint32_t number);

private:
    void add_record();

    JournalHeader header_;
    Buffer record_;
    std::vector<Buffer> frames_; // whole records, at most kFrameRawLimit each
};

// The finished work of a backup that died. Constructing reads every journal and proves every pack
// that has one, front to back, with `workers` threads; damaged or missing packs, and packs without
// a journal, do not count. Looking up may be done from any thread; what a journal no longer tells
// then is not found, with a warning.
class DurableWork : NonCopyable {
public:
    DurableWork(const Repository& repository,
                std::string stanza,
                std::string label,
                std::size_t workers);
    ~DurableWork();

    const std::string& label() const noexcept { return label_; }
    // nullopt when nothing can be used.
    const std::optional<JournalHeader>& header() const noexcept { return header_; }
    const std::vector<PackInfo>& packs() const noexcept { return packs_; } // by number
    // A file that was stored whole with this size and digest.
    std::optional<StoredFile>
    find_file(std::string_view path, std::uint64_t size, const codec::Digest128& digest) const;
    // What was stored of a paged file, in pieces.
    std::vector<PageMap> find_pages(std::string_view path) const;

private:
    struct OpenJournal;
    struct Place;
    void read_journal(std::uint32_t number);
    void prove_packs(std::size_t workers);
    bool has_packs(const std::vector<Extent>& extents) const;
    void pass_over(std::uint32_t number, const Error& error) const;
    OpenJournal& open(std::uint32_t number) const;
    template <typename Visit>
    void visit_records(std::string_view path, const Visit& visit) const;

    const Repository& repository_;
    std::string stanza_;
    std::string label_;
    std::optional<JournalHeader> header_;
    std::vector<PackInfo> packs_;
    std::vector<Place> places_; // by the hash of the path
    mutable std::mutex read_mutex_;
    mutable std::vector<std::unique_ptr<OpenJournal>> journals_; // the one used last is the last
};

// Whether there is anything to go on with.
bool has_journal(const Repository& repository, std::string_view stanza, std::string_view label);
// Removes the journals of a backup, those of complete ones included.
void remove_journals(const Repository& repository, std::string_view stanza, std::string_view label);

} // namespace pgstrata::repository
