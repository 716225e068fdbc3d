// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/verify.hpp"
#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/repository/wal_coverage.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace pgstrata::engine {

// The objects of an archive whose names hash into it are read. All when both are the same.
struct HashShare {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    bool has(std::string_view path) const noexcept;
};

// One WAL file in an archive.
struct ArchivedFile {
    repository::WalObjectName name;
    std::uint64_t size = 0; // of the object
};
std::string path_of(const std::string& stanza, repository::ArchiveId id, const ArchivedFile& file);

// What lies in one archive, by its listing.
struct ArchiveListing {
    std::vector<ArchivedFile> files;            // by directory and name
    std::vector<std::string> documents;         // paths of the records of dropped WAL
    std::vector<std::string> strangers;         // paths of what is none of the archive's
    std::map<std::string, std::string> damaged; // what is wrong with files that left, by path
    std::set<std::string> known; // paths of files that left since an earlier run found them damaged
    std::set<std::string> unreadable; // paths of files that left since they cannot be read
};
ArchiveListing list_archive(const repository::Repository& repository,
                            const std::string& stanza,
                            repository::ArchiveId id);

// Takes what came to the archive since it was read, and leaves out what is gone since.
void list_again(const repository::Repository& repository,
                const std::string& stanza,
                repository::ArchiveId id,
                ArchiveListing& listing);

// " (known since TIME)"
std::string known_since(UnixSeconds since);

// Fault kind by the code of an error.
FaultKind kind_of(ErrorCode code) noexcept;

// How the files of an archive are read.
struct ArchiveReading {
    const repository::Repository& repository;
    const VerifyOptions& options;
    const repository::Cluster& cluster;
    HashShare share;
    const std::set<std::string>* only; // segments that are read, by name; null for all
    const std::map<std::string, repository::DamagedWal>& known; // damage that earlier runs found
    std::function<void(std::uint64_t)> bytes_read;

    bool is_wanted(const ArchivedFile& file) const;
    // Whether only its stored bytes are proved.
    bool is_quick(const ArchivedFile& file) const;
};

// Reads files of an archive. Files that were removed since they were listed leave the listing with
// a WARN, whether anything needs them is for the coverage to say; damaged ones leave it too, and
// are faults; so are those that cannot be read, and those that are known to be damaged and not
// read, or only quickly. Strangers
// are passed over with a WARN.
class ArchiveVerification : NonCopyable {
public:
    // All outlive it.
    ArchiveVerification(ArchiveReading reading, ArchiveListing& listing, VerifiedArchive& result);
    // Of the files that are read.
    std::uint64_t bytes() const;
    // Reads files until none is left; many workers at once.
    void work(const std::stop_token& token);
    // When all workers are done: completes the listing and the result.
    void finish();

private:
    // What became of a file.
    enum class Outcome : std::uint8_t { unread, valid, gone, damaged, known, unreadable };
    void read_one(std::size_t index);
    Outcome check(const ArchivedFile& file, const std::string& path);
    bool take_known(const std::string& path);
    void take_outcomes();
    void verify_documents();

    ArchiveReading reading_;
    ArchiveListing& listing_;
    VerifiedArchive& result_;
    std::vector<Outcome> outcomes_; // parallel to the files of the listing
    std::atomic<std::size_t> next_ = 0;
    std::mutex mutex_; // guards the listing's sets and the result while files are read
};

} // namespace pgstrata::engine
