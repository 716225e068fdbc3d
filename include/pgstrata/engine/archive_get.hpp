// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/repository/catalog.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

struct GetSource {
    unsigned index = 1;
    const repository::Repository* repository = nullptr; // outlives the call
};

struct GetOptions {
    std::string stanza;
    std::string wal_name;
    std::string destination; // path; replaced at once when the file is whole
};

// Fetches one WAL file from the first source that has a good copy of it, from any generation of the
// stanza whose version and system identifier are those of `control`. False when every source was
// read and none has it: absence is proved. Throws Error(archive_duplicate) for different files
// under the name, and Error(repo_invalid) when no good copy was found and a source failed.
bool get_wal(const GetOptions& options,
             const postgres::ControlFile& control,
             const std::vector<GetSource>& sources);
// The same, with the digest in the name of the object that the file came from.
std::optional<std::string> fetch_wal(const GetOptions& options,
                                     const postgres::ControlFile& control,
                                     const std::vector<GetSource>& sources);

} // namespace pgstrata::engine
