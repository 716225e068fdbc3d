// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/postgres/lsn.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/pack.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pgstrata::repository {

// How the bytes of a file are found.
enum class ContentKind : std::uint8_t {
    empty = 0, // no bytes
    whole = 1, // the extents are the file, front to back; the digest is of its bytes
    // The extents are encoded PageMaps, the newest first: those in packs of one backup are one map.
    // Each page of the file is in the first map that has it.
    paged = 2,
};

struct ManifestFile {
    std::string path;       // relative to the data directory, bytes as on disk
    std::uint64_t size = 0; // bytes stored
    UnixNanoseconds mtime = 0;
    std::uint32_t mode = 0; // permission bits
    std::uint16_t user = 0; // position in Manifest::names
    std::uint16_t group = 0;
    ContentKind content = ContentKind::empty;
    // Page checksum errors were found, see bad_pages; or it ends within a page and has none of
    // them.
    bool is_damaged = false;
    codec::Digest128 digest{}; // XXH3-128; whole only
    std::vector<Extent> extents;
    std::vector<std::uint32_t> bad_pages; // block numbers within the file
};

struct ManifestDirectory {
    std::string path; // "" is the data directory
    std::uint32_t mode = 0;
    std::uint16_t user = 0;
    std::uint16_t group = 0;
};

struct ManifestLink {
    std::string path;
    std::string destination; // as readlink gave it
    bool is_directory = true;
    std::uint32_t mode = 0; // permission bits of what it leads to
    std::uint16_t user = 0;
    std::uint16_t group = 0;
};

struct ManifestDatabase {
    std::uint32_t oid = 0;
    std::string name;
    bool is_template = false;
};

struct ManifestTablespace {
    std::uint32_t oid = 0;
    std::string name;
};

struct ManifestHeader {
    std::string label;
    BackupType type = BackupType::full;
    std::string prior; // label, empty for a full
    std::string program_version;
    ArchiveId archive_id;
    std::uint64_t system_identifier = 0;
    std::uint32_t control_version = 0;
    std::uint32_t catalog_version = 0;
    std::uint32_t page_size = 0;
    std::uint32_t segment_pages = 0;
    std::uint32_t wal_segment_size = 0;
    std::uint32_t data_checksum_version = 0;
    bool is_online = true;
    bool has_page_checks = false; // page checksums were verified
    UnixSeconds start_time = 0;
    // What was written to files with an earlier time was complete when the first file was read.
    UnixNanoseconds copy_time = 0;
    UnixSeconds stop_time = 0;
    postgres::Timeline timeline = 0; // of the start
    postgres::Lsn start_lsn;         // 0 when offline
    postgres::Lsn stop_lsn;
    std::string start_wal; // segment names, empty when offline
    std::string stop_wal;
    std::string data_directory;
    std::string backup_label; // contents of the file, byte exact
    std::string tablespace_map;
};

struct Manifest {
    ManifestHeader header;
    // Ascending by name: every pack that an extent refers to, directly or through a page map.
    std::vector<PackInfo> packs;
    std::vector<std::string> names;             // of users and groups
    std::vector<ManifestDirectory> directories; // parents first
    std::vector<ManifestLink> links;
    std::vector<ManifestDatabase> databases;
    std::vector<ManifestTablespace> tablespaces;
    std::vector<ManifestFile> files; // ascending by path
};

// Ends the work on a manifest in which extents of the backup's own packs have the size of the table
// plus the pack's number for a position: packs of backups that nothing leads to any more
// leave the table, `own` packs (as PackSet::finished() gives them) enter it, and all extents are
// made to fit. Throws Error(assertion) when something lies in a pack that is in neither.
void settle_packs(Manifest& manifest, const std::vector<PackInfo>& own);

// The name of a tablespace. A stopped server tells none: "ts16400" then, as pgBackRest has it.
std::string tablespace_name(const Manifest& manifest, std::uint32_t oid);

// Labels of the other backups whose packs the manifest lists, ascending.
std::vector<std::string> references_of(const Manifest& manifest);

// Writes backup/<stanza>/<label>/manifest, durable; returns its size in the repository.
// Deterministic: equal manifests give equal raw bytes. The order of the vectors must be as stated
// above.
std::uint64_t
write_manifest(const Repository& repository, std::string_view stanza, const Manifest& manifest);
// Gives the files of a manifest one by one, so that a second manifest need not be in memory. One
// thread at a time. Constructor and next() throw what read_manifest() throws.
class ManifestReader : NonCopyable {
public:
    ManifestReader(const Repository& repository, std::string_view stanza, std::string_view label);
    ~ManifestReader();
    // All but the files; may be moved from at any time.
    Manifest& head() noexcept;
    // The next file in the order of paths; false after the last, when the end has been checked, and
    // ever after.
    bool next(ManifestFile& file);

private:
    struct State;
    std::unique_ptr<State> state_;
};

// Throws Error(file_missing), and Error(format) for anything that breaks a bound: unknown packs,
// paths that leave the data directory, extents larger than frames, sizes that do not add up, wrong
// order.
Manifest
read_manifest(const Repository& repository, std::string_view stanza, std::string_view label);

} // namespace pgstrata::repository
