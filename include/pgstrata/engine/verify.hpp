// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/change_detection.hpp"
#include "pgstrata/engine/progress.hpp"
#include "pgstrata/repository/repository.hpp"
#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/repository/wal_archive.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

struct VerifyOptions {
    std::string stanza;
    std::string label;            // of the only backup to verify; empty for all
    std::optional<double> sample; // percent of the packs and WAL files to read; unset for all
    repository::VerifyDepth depth = repository::VerifyDepth::full;
    std::size_t workers = 1;
    bool is_recorded = true; // leave a record of the run in the repository
};

// What is unreadable is not known to be damaged: it could not be read this time.
enum class FaultKind : std::uint8_t { missing, checksum, size, other, unreadable };

// Something that is wrong with an object of the repository.
struct VerifyFault {
    FaultKind kind = FaultKind::other;
    std::string object; // its path
    std::string problem;
};

struct VerifiedArchive {
    repository::ArchiveId id;
    std::uint64_t checked = 0;
    std::uint64_t valid = 0;
    std::vector<VerifyFault> faults;        // by object
    std::vector<repository::WalRange> gaps; // see repository::WalCoverage and list_gaps()
    std::vector<postgres::Timeline> lost_histories;
};

enum class BackupState : std::uint8_t { valid, invalid, manifest_missing, in_progress };

// A file of a backup that cannot be restored.
struct LostFile {
    std::string path;
    std::vector<PageRange> pages; // one range to UINT32_MAX for all
};

struct VerifiedBackup {
    // Of the lost files, no more than this many are named.
    static constexpr std::size_t kMostNamed = 1000;

    std::string label;
    BackupState state = BackupState::valid;
    std::uint64_t files = 0;
    std::uint64_t valid_files = 0;
    std::vector<VerifyFault> faults; // of its own objects, by object
    std::vector<LostFile> lost;
    std::vector<repository::WalRange> missing_wal; // from its start to its stop
    bool is_restorable = true;
    // How far WAL goes on from it: the last segment, empty for none, and its newest timeline.
    std::string last_wal;
    postgres::Timeline timeline = 0;
    bool ends_at_gap = false;
};

struct VerifyReport {
    std::string stanza;
    repository::VerifyDepth depth = repository::VerifyDepth::full;
    std::vector<VerifiedArchive> archives; // oldest generation first
    std::vector<VerifiedBackup> backups;   // ascending by label
    std::vector<VerifyFault> faults;       // of objects that belong to neither
    std::uint64_t bytes = 0;               // of the repository that were read

    // Things that are wrong: each fault, lost file, gap, missing range and lost history.
    std::uint64_t findings() const noexcept;
};

// Reads what a stanza has in a repository and proves that it is what was stored: documents, keys
// and manifests to their ends, each pack once, front to back, with everything in it, each WAL file;
// and that every backup has the WAL it needs and none is missing in between. A sample reads the
// packs and WAL files of the next share of the repository and everything else. Quick depth proves
// of packs and WAL segments only that their stored bytes are unchanged and that what manifests name
// is in them, without decompressing; where that fails it looks at full depth what is wrong. It
// refutes nothing that earlier runs found. Damage goes into the report and, for the next backup,
// into a record in the repository. An object that cannot be read at the moment, as for want of a
// permission, is a fault, and its backups cannot be restored as things are; the record says neither
// that it was read nor that it is damaged. `report` hears of bytes. Throws only for what keeps it
// from telling, such as a stanza or backup that does not exist (Error(file_missing),
// Error(backup_set_invalid)) or a store that cannot be reached.
VerifyReport verify(const VerifyOptions& options,
                    const repository::Repository& repository,
                    const Progress::Report& report);

} // namespace pgstrata::engine
