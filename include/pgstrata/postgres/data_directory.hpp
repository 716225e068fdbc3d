// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/time.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace pgstrata::postgres {

enum class Fork : std::uint8_t { main = 0, free_space_map = 1, visibility_map = 2, init = 3 };

// A relation segment file, told by its path below the data directory.
struct RelationFile {
    std::uint32_t tablespace = 0;   // oid; 1663 pg_default, 1664 pg_global
    std::uint32_t database = 0;     // oid; 0 in global
    std::uint32_t relation = 0;     // relfilenode
    Fork fork = Fork::main;
    std::uint32_t segment = 0;      // 0 for the file without a suffix
};

// Whole components are compared, never substrings. `path` is relative to the data directory and uses
// pg_tblspc/<oid>/PG_... for tablespaces. nullopt when it is not a relation file.
std::optional<RelationFile> parse_relation_path(std::string_view path) noexcept;

// The oid of the database whose directory the path lies in (base/<oid>/..., pg_tblspc/<oid>/PG_*/<oid>/...).
std::optional<std::uint32_t> database_of_path(std::string_view path) noexcept;

enum class EntryClass : std::uint8_t {
    copy,            // take it (a directory: and look inside)
    directory_only,  // keep the directory, leave its contents
    skip,            // leave it out
};

struct ScanRules {
    unsigned major = 0;
    std::uint32_t catalog_version = 0;   // chooses PG_<major>_<catalog> in tablespaces
    bool online = true;                  // pg_wal is emptied only then
    std::vector<std::string> exclude;    // relative to the data directory; "dir/" means contents only
    std::string log_directory;           // relative, contents left out; empty for none
};

enum class FileType : std::uint8_t { file, directory, link, special };

// The decision for one entry by its path alone: exclude lists of POSTGRES base backups, temporary files and
// relations, and the user's excludes. Unlogged relations need the directory's listing and are left to scan().
EntryClass classify_entry(std::string_view path, FileType type, const ScanRules& rules);

struct DataEntry {
    std::string path;               // relative to the data directory; through pg_tblspc/<oid> for tablespaces
    FileType type = FileType::file;
    std::uint64_t size = 0;
    UnixNanoseconds mtime = 0;
    std::uint32_t mode = 0;         // permission bits
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::string destination;        // of a link, as readlink gives it
};

// Walks the data directory. Links in pg_tblspc and others that lead to directories or files outside are
// followed once and their contents visited under the link's path. Visits parents before children, otherwise in
// byte order. Entries that vanish meanwhile are left out. Throws Error(link_expected) for a plain directory in
// pg_tblspc (an in-place tablespace is taken as part of the tree when its name is an oid),
// Error(link_destination) for a link into the data directory or to a link, Error(path_open) for what cannot
// be read. Special files are left out with a WARN.
void scan_data_directory(const std::string& data_directory, const ScanRules& rules,
                         const std::function<void(DataEntry&&)>& visit);

} // namespace pgstrata::postgres
