// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/pack.hpp"
#include "pgstrata/repository/recovery_window.hpp"
#include "pgstrata/repository/retention.hpp"
#include "pgstrata/repository/wal_archive.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What info shows: gathered first, then rendered by pure functions. Layout, keys and numbers are
// those of pgBackRest, since monitors read them.
namespace pgstrata::command {

enum class InfoStatus : std::uint8_t {
    ok = 0,
    missing_stanza_path = 1,
    no_backup = 2,
    missing_stanza_data = 3,
    different = 4,         // of a stanza: its repositories do not agree
    database_mismatch = 5, // of a stanza: the same of their clusters
    missing_backup = 6,    // the one that --set asks for
    other = 99,
};

std::string_view status_message(InfoStatus status) noexcept;

// How far a command is that holds a lock.
struct InfoLock {
    bool is_held = false;
    std::optional<std::uint64_t> size; // both or none
    std::optional<std::uint64_t> size_done;
};

struct InfoArchive {
    repository::Cluster cluster;
    repository::WalRange wal;
    std::vector<repository::WalRange> gaps; // WAL that was dropped, see repository::list_gaps()
    std::optional<repository::RecoveryWindow> window; // unset when it cannot be told
};

struct InfoTablespace {
    std::string name;
    std::uint32_t oid = 0;
    std::string destination;
};

// What only the manifest knows, for --set.
struct InfoBackupDetails {
    std::vector<repository::ManifestDatabase> databases; // without templates, by name
    std::vector<repository::ManifestLink> links;         // without those of tablespaces
    std::vector<InfoTablespace> tablespaces;
};

struct InfoBackup {
    unsigned repo_key = 1;
    repository::BackupSummary summary;
    std::optional<InfoBackupDetails> details;
    repository::RetentionClass retention;          // without a name when it is not known
    std::vector<repository::WalRange> missing_wal; // of what makes it consistent
};

struct InfoDamage {
    repository::PackName pack;
    std::string problem; // of the first place
};

// What verify has proved of the packs that are there.
struct InfoVerified {
    std::uint64_t bytes = 0;
    std::uint64_t total = 0;
    std::optional<UnixSeconds> since; // all those bytes were read since then
    std::vector<InfoDamage> damage;   // by pack
};

// A stanza in one repository.
struct InfoRepository {
    unsigned key = 1;
    std::string cipher = "none";
    InfoStatus status = InfoStatus::ok;
    std::string problem; // "[FileOpenError] text", for status other
    InfoLock backup_lock;
    std::vector<InfoArchive> archives;                // oldest generation first
    std::vector<InfoBackup> backups;                  // ascending by label
    std::vector<engine::IncompleteBackup> incomplete; // likewise
    std::optional<InfoVerified> verified;             // unset when verify never ran
};

struct InfoStanza {
    std::string name;
    InfoLock restore_lock;
    std::vector<InfoRepository> repositories; // ascending by key, at least one
};

enum class InfoDetail : std::uint8_t { full, progress };

// Bytes of the cluster that were read in a second; unset for a backup that took none.
std::optional<std::uint64_t> throughput(const repository::BackupSummary& summary) noexcept;

InfoStatus stanza_status(const InfoStanza& stanza) noexcept;
// "none", the cipher of all repositories, or "mixed".
std::string stanza_cipher(const InfoStanza& stanza);
// Of all repositories together; sizes are sums.
InfoLock stanza_backup_lock(const InfoStanza& stanza) noexcept;
// Of all repositories, in the order in which they ended.
std::vector<InfoBackup> stanza_backups(const InfoStanza& stanza);

// Compact, keys sorted, without a line feed at the end.
std::string render_info_json(const std::vector<InfoStanza>& stanzas, InfoDetail detail);
// Indented lines for people.
std::string render_info_text(const std::vector<InfoStanza>& stanzas, InfoDetail detail);

} // namespace pgstrata::command
