// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Every path of the repository is made and parsed here and nowhere else; pgstrata-repository(5) has
// the tree.
namespace pgstrata::repository {

inline constexpr std::uint32_t kRepositoryFormat = 1;
inline constexpr std::string_view kRepositoryFile = "pgstrata.json";
inline constexpr std::string_view kKeysDirectory = "keys";
inline constexpr std::string_view kArchiveDirectory = "archive";
inline constexpr std::string_view kBackupDirectory = "backup";
inline constexpr std::string_view kCopyDirectory = "copy";

inline constexpr std::size_t kLongestStanzaName = 128; // characters

// Letters, digits, '.', '_' and '-', not beginning with a dot or dash, and no longer than that: a
// stanza is a directory name.
bool is_valid_stanza_name(std::string_view name) noexcept;

// One generation of a cluster in a stanza: "15-1" is the first, and a PostgreSQL 15.
struct ArchiveId {
    unsigned major = 0;
    unsigned number = 0;
    auto operator<=>(const ArchiveId&) const = default;
};

std::string to_string(ArchiveId id);
std::optional<ArchiveId> parse_archive_id(std::string_view text) noexcept;

enum class BackupType : std::uint8_t { full, diff, incr };
std::string_view to_string(BackupType type) noexcept;

// "20261121-020000F" and "20261121-020000F_20261121-030000I", in UTC.
struct BackupLabel {
    BackupType type = BackupType::full;
    std::string full;     // label of the full it builds on; its own for a full
    UnixSeconds time = 0; // of this backup
};
std::optional<BackupLabel> parse_backup_label(std::string_view text);
// `full` is ignored for a full.
std::string make_backup_label(BackupType type, std::string_view full, UnixSeconds time);

std::string key_path(std::string_view key_id);

// Where the copy of a document is that is kept twice; of a directory, those of the documents in it.
std::string copy_path(std::string_view path);
bool is_copy_path(std::string_view path) noexcept;
// What a copy is of; of any other path the path itself.
std::string_view origin_path(std::string_view path) noexcept;

std::string archive_path(std::string_view stanza);
std::string archive_path(std::string_view stanza, ArchiveId id);
std::string cluster_path(std::string_view stanza, ArchiveId id);
// Of the object that a check leaves for a moment; no generation and no WAL has such a name.
std::string probe_path(std::string_view stanza, std::string_view tag);
bool is_probe_name(std::string_view name);
// The directory in which the object of a WAL file lies: by the first 16 digits, or the archive's
// own for history files.
std::string wal_directory(std::string_view stanza, ArchiveId id, std::string_view wal_name);

// "<name>-<40 hex digest>[.zst]"
struct WalObjectName {
    std::string wal_name;
    std::string digest; // of the plain file, as wal_digest.hpp makes it
    bool is_compressed = false;
};
std::string to_string(const WalObjectName& name);
std::optional<WalObjectName> parse_wal_object_name(std::string_view text);

// Of WAL files that were dropped: the directory, one record, and the WAL file that a name in the
// directory is the record of.
std::string gap_path(std::string_view stanza, ArchiveId id);
std::string gap_path(std::string_view stanza, ArchiveId id, std::string_view wal_name);
std::optional<std::string> parse_gap_name(std::string_view name);

std::string backup_path(std::string_view stanza);
std::string backup_path(std::string_view stanza, std::string_view label);
std::string pack_path(std::string_view stanza, std::string_view label); // of all packs
std::string pack_path(std::string_view stanza, std::string_view label, std::uint32_t number);
std::string manifest_path(std::string_view stanza, std::string_view label);
// Pack numbers are below this, so that they can be counted on from the positions of a table.
inline constexpr std::uint32_t kPackNumberLimit = 1U << 30U;
// Turns are below this.
inline constexpr unsigned kLeaseTurnLimit = 1000000;
// The lease of the backup's `turn`-th try: "lease", then "lease.1", "lease.2"...
std::string lease_path(std::string_view stanza, std::string_view label, unsigned turn = 0);
// The turn that a name in the backup's directory is the lease of.
std::optional<unsigned> parse_lease_name(std::string_view name) noexcept;
std::string journal_path(std::string_view stanza, std::string_view label);
std::string journal_path(std::string_view stanza, std::string_view label, std::uint32_t number);
// The number in the name of a pack or journal, six digits or more.
std::optional<std::uint32_t> parse_pack_number(std::string_view name) noexcept;
std::string summary_path(std::string_view stanza, std::string_view label);
std::string notes_path(std::string_view stanza, std::string_view label);
std::string note_path(std::string_view stanza, std::string_view label, unsigned number);
// The records of removed backups: the directory, one record, and the backup that a name in the
// directory is the record of.
std::string history_path(std::string_view stanza);
std::string history_path(std::string_view stanza, std::string_view label);
std::optional<std::string> parse_history_name(std::string_view name);
// Records of what verify found in the backups of a stanza: the directory, and one of them. Their
// names are numbered as those of notes.
std::string verify_path(std::string_view stanza);
std::string verify_path(std::string_view stanza, unsigned number);
// The number in the name of a note, four digits or more.
std::optional<unsigned> parse_note_name(std::string_view name) noexcept;

} // namespace pgstrata::repository
