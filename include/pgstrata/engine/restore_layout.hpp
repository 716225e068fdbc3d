// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/manifest.hpp"

#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace pgstrata::engine {

struct LayoutOptions {
    std::string data_directory;
    std::vector<std::pair<std::string, std::string>> tablespace_map; // name or oid -> directory
    std::string tablespace_map_all; // parent of the others; empty for none
    std::vector<std::pair<std::string, std::string>>
        link_map; // path in the data directory -> destination
    bool link_all = false;
    std::vector<std::string> db_include; // names or oids
    std::vector<std::string> db_exclude;
};

struct RestoredLink {
    std::string path;        // in the data directory
    std::string destination; // as the link will hold it
    std::string target;      // absolute
    bool is_directory = true;
    bool is_tablespace = false;
    std::uint32_t mode = 0700;
    std::uint16_t user = 0;
    std::uint16_t group = 0;
};

// Where everything of a backup goes on this host: decided before anything is touched.
class RestoreLayout {
public:
    // Throws Error(tablespace_map), Error(link_map), Error(link_destination), Error(db_missing) or
    // Error(db_invalid) for options that do not fit the backup, and Error(format) for a backup with
    // anything in a tablespace but the version's own directory.
    RestoreLayout(const LayoutOptions& options, const repository::Manifest& manifest);

    const std::vector<RestoredLink>& links() const noexcept { return links_; }
    // Links of the backup that become plain directories or files here.
    const std::vector<repository::ManifestLink>& plain() const noexcept { return plain_; }
    // The directories that must be empty or ours: the data directory first, then the targets of
    // directory links. For a tablespace it is the version's own directory in it.
    std::vector<std::string> roots() const;
    // "PG_15_202209061": the one directory in a tablespace that is ours.
    const std::string& tablespace_version_directory() const noexcept
    {
        return tablespace_version_directory_;
    }
    // The place of a path of the manifest on this host, without links.
    std::string physical_path(std::string_view path) const;
    // Files of databases that were not chosen are restored as zeros, all but pg_filenode.map.
    bool is_zeroed(std::string_view path) const;
    // PG_VERSION of such a database is not restored: without it nobody can connect there, and DROP
    // DATABASE still works.
    bool is_left_out(std::string_view path) const;
    bool has_zeroed_databases() const noexcept { return !zeroed_databases_.empty(); }
    const std::unordered_set<std::uint32_t>& zeroed_databases() const noexcept
    {
        return zeroed_databases_;
    }

private:
    void map_links(const LayoutOptions& options, const repository::Manifest& manifest);
    void invent_links(const LayoutOptions& options, const repository::Manifest& manifest);
    void find_targets();
    void check_overlaps() const;

    std::string data_directory_;
    std::string tablespace_version_directory_;
    std::vector<RestoredLink> links_;
    std::vector<repository::ManifestLink> plain_;
    std::unordered_set<std::uint32_t> zeroed_databases_;
};

} // namespace pgstrata::engine
