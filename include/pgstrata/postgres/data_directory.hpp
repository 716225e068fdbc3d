// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/time.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::postgres {

enum class Fork : std::uint8_t { main = 0, free_space_map = 1, visibility_map = 2, init = 3 };

// A relation segment file, told by its path below the data directory.
struct RelationFile {
    std::uint32_t tablespace = 0; // oid; 1663 pg_default, 1664 pg_global
    std::uint32_t database = 0;   // oid; 0 in global
    std::uint32_t relation = 0;   // relfilenode
    Fork fork = Fork::main;
    std::uint32_t segment = 0; // 0 for the file without a suffix
};

// Whole components are compared, never substrings. `path` is relative to the data directory and
// uses pg_tblspc/<oid>/PG_... for tablespaces. nullopt when it is not a relation file.
std::optional<RelationFile> parse_relation_path(std::string_view path) noexcept;

// The oid of the database whose directory the path is or lies in (base/<oid>/...,
// pg_tblspc/<oid>/PG_*/<oid>/...).
std::optional<std::uint32_t> database_of_path(std::string_view path) noexcept;

// From the most to the least that is taken.
enum class EntryClass : std::uint8_t {
    copy,           // take it (a directory: and look inside)
    directory_only, // keep the directory, leave its contents
    skip,           // leave it out
};

struct ScanRules {
    unsigned major = 0;
    std::uint32_t catalog_version = 0; // chooses PG_<major>_<catalog> in tablespaces
    bool online = true;                // pg_wal is emptied only then
    // Relative to the data directory, compared part by part: "path" leaves it out with all below,
    // "dir/" keeps the directory and leaves its contents out.
    std::vector<std::string> exclude;
    std::string log_directory; // relative, contents left out; empty for none
};

enum class FileType : std::uint8_t { file, directory, link, special };

// The decision for one entry by its path and type alone: what base backups leave out, temporary
// files and relations, directories of other catalog versions in tablespaces, and the user's
// excludes. For a link, `type` is that of what it leads to where a directory matters, or link.
// Unlogged relations need the directory's listing and are left to scan_data_directory().
EntryClass classify_entry(std::string_view path, FileType type, const ScanRules& rules);

// Which of the user's excludes keeps the entry out, or what is in it; nullptr when none does, or
// when it is left out anyway.
const std::string* find_exclude(std::string_view path, FileType type, const ScanRules& rules);

struct DataEntry {
    std::string path; // relative to the data directory; through pg_tblspc/<oid> for tablespaces
    FileType type = FileType::file; // never special
    std::uint64_t size = 0;         // of a file, else 0
    UnixNanoseconds mtime = 0;
    std::uint32_t mode = 0; // permission bits
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::string
        destination; // of a link, as readlink gives it (relative ones count from the link's place)
};

// Walks the data directory and visits every entry that classify_entry() does not skip and that is
// no fork of an unlogged relation but _init. The order is that of the tree: a directory before what
// is in it, the names of one directory in byte order. The data directory itself is not visited.
//
// A link is visited as one entry of type link, whose mtime, mode, uid and gid are those of what it
// leads to, and then what it leads to is visited under the link's path:
// - a directory: its contents as "link/child" (there is no further entry for the directory itself;
// when the link
//   is directory_only, such as pg_wal while online, nothing follows);
// - a file: one further entry with the link's own path and type file.
// So a path comes twice exactly when it is a link to a file. Links met below a link are treated
// alike.
//
// pg_tblspc holds links named by an oid, and in-place tablespaces: plain directories named by an
// oid, visited as part of the tree. In both only PG_<major>_<catalog> is visited.
//
// An INFO names each entry at which an exclude of the user's counts. Entries that vanish meanwhile
// are left out. Special files are left out with a WARN. Throws
// Error(link_expected) for anything else in pg_tblspc; Error(link_destination) for a link into the
// data directory, to a directory the link is in, to a link, or from pg_tblspc to nowhere;
// Error(path_missing) when there is no data directory; Error(path_open) for a directory and
// Error(file_open) for an entry that cannot be read, for a link to nowhere and for a tablespace
// without PG_<major>_<catalog>, as if a file system was not mounted; Error(terminated) once a
// signal has arrived. `visit` is called on this thread.
void scan_data_directory(const std::string& data_directory,
                         const ScanRules& rules,
                         const std::function<void(DataEntry&&)>& visit);

} // namespace pgstrata::postgres
