// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/recorded_log.hpp"

#include "pgstrata/engine/restore_layout.hpp"
#include "pgstrata/engine/restore_target.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

namespace pgstrata::test {

inline constexpr auto kVersionDirectory = "PG_15_202209061";

// What a restore does to its roots before it writes.
inline engine::ReplaceOptions prepare_roots(const engine::RestoreLayout& layout,
                                            engine::ReplaceOptions options)
{
    const engine::ReplaceOptions counting = engine::check_roots(layout, options);
    engine::make_roots(layout);
    return counting;
}

// A manifest made by hand: a full backup of a PostgreSQL 15 with nothing in it.
class HandMadeManifest {
public:
    HandMadeManifest()
    {
        repository::ManifestHeader& header = manifest.header;
        header.label = "20261121-020000F";
        header.program_version = "1.0.0";
        header.archive_id = {15, 1};
        header.system_identifier = 7000000000000000001U;
        header.control_version = 1300;
        header.catalog_version = 202209061;
        header.page_size = 8192;
        header.segment_pages = 131072;
        header.wal_segment_size = 1U << 20U;
        header.start_time = 1795226400;
        header.stop_time = 1795226460;
        header.timeline = 1;
        header.data_directory = "/var/lib/demo";
        manifest.names = {"postgres"};
        add_directory("", 0700);
    }

    void add_directory(std::string path, std::uint32_t mode = 0700)
    {
        manifest.directories.push_back({std::move(path), mode, 0, 0});
    }
    void add_link(std::string path, std::string destination, bool is_directory = true)
    {
        manifest.links.push_back(
            {std::move(path), std::move(destination), is_directory, 0700, 0, 0});
    }
    void add_tablespace(std::uint32_t oid, std::string name, std::string destination)
    {
        const std::string path = "pg_tblspc/" + std::to_string(oid);
        add_link(path, std::move(destination));
        add_directory(path + "/" + kVersionDirectory);
        manifest.tablespaces.push_back({oid, std::move(name)});
    }
    // The files stay sorted; they have no bytes until something is copied into a repository.
    repository::ManifestFile& add_file(std::string path, std::uint64_t size = 0)
    {
        repository::ManifestFile file;
        file.path = std::move(path);
        file.size = size;
        file.mode = 0600;
        file.mtime = 1795226400'123456789;
        auto at = std::ranges::lower_bound(
            manifest.files, file.path, {}, &repository::ManifestFile::path);
        return *manifest.files.insert(at, std::move(file));
    }

    repository::Manifest manifest;
};

inline void write_text_file(const std::string& path, std::string_view text)
{
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

// Names of what lies directly in a directory, sorted, joined by blanks.
inline std::string names_below(const std::string& directory)
{
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    std::string text;
    for (const std::string& name : names) {
        text += (text.empty() ? "" : " ") + name;
    }
    return text;
}

} // namespace pgstrata::test
