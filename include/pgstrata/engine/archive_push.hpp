// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/util/error.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// A repository that WAL is pushed to, already opened.
struct PushTarget {
    unsigned index = 1;                                 // for messages
    const repository::Repository* repository = nullptr; // outlives the push
    repository::Cluster cluster;
};

struct PushOptions {
    std::string stanza;
    std::string path;                  // of the WAL file
    bool check_header = true;          // archive-header-check
    bool warn_duplicates = true;       // archive-mode-check
    std::optional<int> compress_level; // unset: no compression
    std::size_t workers = 1;
    // Hears what would be logged as a WARN, in place of the log.
    std::function<void(const std::string&)> on_warning;
};

struct PushFailure {
    unsigned index = 1; // of the target
    Error error;
};

// Stores one WAL file (segment, .partial, .history or .backup) in all targets; those that are not
// among the failures that it returns have it durably. The file is read once; several targets are
// served at the same time, a single one by the calling thread. A file that is already
// there with the same contents is left as it is. Throws Error(parameter_invalid) for a name that is
// none of PostgreSQL's, Error(archive_mismatch) when the header names another cluster, version or
// place, Error(format) for a file of the wrong size, Error(file_read) for one that changes, and
// Error(archive_duplicate) when a target has other contents under the name: then nothing is written
// anywhere. Where listing is cheap a target is looked at again when the file is stored, and the
// same error is thrown: of two who store other contents at the same time at least one hears of it.
[[nodiscard]] std::vector<PushFailure> push_wal(const PushOptions& options,
                                                const std::vector<PushTarget>& targets);

} // namespace pgstrata::engine
