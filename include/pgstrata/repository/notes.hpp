// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::repository {

// backup/<stanza>/<label>/notes/<nnnn>.json: what was decided about a backup after it was made.
// Written once; what a note does not mention stays as it was.
struct BackupNote {
    UnixSeconds time = 0;
    std::string host;
    std::map<std::string, std::string> annotations; // an empty value takes the key away
    std::optional<bool> is_pinned;
    std::optional<std::uint64_t> retain; // seconds, 0: by the rules of the repository again
};

// Durable, and the newest of the backup's notes: of two that are written at once the later has the
// higher number. Throws Error(file_missing) when the backup is not complete, and
// Error(backup_set_invalid) when it was removed meanwhile.
void write_note(const Repository& repository,
                std::string_view stanza,
                std::string_view label,
                const BackupNote& note);
// The oldest first.
std::vector<BackupNote>
read_notes(const Repository& repository, std::string_view stanza, std::string_view label);
// What the summary is after the note.
void apply_note(const BackupNote& note, BackupSummary& summary);

} // namespace pgstrata::repository
