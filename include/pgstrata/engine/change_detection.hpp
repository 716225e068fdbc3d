// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/wal_summary.hpp"
#include "pgstrata/repository/manifest.hpp"

#include <cstdint>
#include <string>
#include <vector>

// What of a cluster has changed since the prior backup: decisions over plain data.
namespace pgstrata::engine {

// What a backup does with a file, from the least work to the most.
enum class FileWork : std::uint8_t {
    refer,      // it is as the prior backup has it: not read at all
    candidates, // only the pages that WAL may have changed are read and compared
    compare,    // it is read, and what differs from the prior backup is stored
    copy,       // it is read and stored
};

struct ChangeRules {
    std::uint32_t page_size = 8192;
    // Whether equal size and mtime mean equal bytes; see why_times_do_not_count().
    bool trust_times = true;
    UnixNanoseconds prior_copy_time = 0;
    // What WAL changed since the prior backup began; null when that is not known.
    const postgres::ChangedBlocks* changes = nullptr;
};

// `file` is as the data directory has it now, its content kind set; `prior` is the same path in the
// prior backup, null when it was not there.
FileWork decide_work(const repository::ManifestFile& file,
                     const repository::ManifestFile* prior,
                     const ChangeRules& rules);

// Why sizes and times of the prior backup's files say nothing about this one's; empty when they do.
// Both headers are compared, `now` being that of the backup that begins.
std::string why_times_do_not_count(const repository::ManifestHeader& prior,
                                   const repository::ManifestHeader& now,
                                   UnixNanoseconds clock);

// Pages of a file from `begin` to before `end`.
struct PageRange {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    bool operator==(const PageRange&) const = default;
};

// The pages of one relation file that must be read.
struct Candidates {
    const postgres::ForkChanges* changes = nullptr; // null: WAL names nothing of this fork
    std::uint32_t first_block = 0;                  // of the file in its fork
    std::uint32_t prior_pages = 0;                  // length in the prior backup
};

// The ranges of `range` to be read, ascending and apart: blocks that WAL names, all from the limit
// block on, and all that the prior backup does not have.
std::vector<PageRange> candidate_pages(const Candidates& candidates, PageRange range);

// A page that WAL does not name, read all the same.
struct AuditedPage {
    postgres::Lsn lsn;
    bool is_new = false;    // all zero, or pretends to be
    bool is_spgist = false; // whose metapage caches free pages without WAL
    UnixNanoseconds file_mtime = 0;
};

struct AuditRules {
    postgres::Lsn start;           // of the backup that is made
    postgres::Lsn prior_start;     // of the one it builds on
    bool hints_are_logged = false; // all of them, since the prior backup, on the same server
    UnixNanoseconds copy_time = 0; // of the backup that is made
};

AuditedPage describe_page(ByteView page, UnixNanoseconds file_mtime) noexcept;

// Whether a page that differs from the prior backup, although nothing names it, may do so: changed
// after the backup began, so that replay brings it, or cut off, so that replay cuts it off again;
// or in what the server does not log and can find out again, such as hint bits where those are not
// logged.
bool may_differ(const AuditedPage& page, const AuditRules& rules) noexcept;

} // namespace pgstrata::engine
