// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/engine/copied_backup.hpp"

#include "pgstrata/engine/place.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pgstrata::test {

inline constexpr std::size_t kMebibyte = std::size_t{1} << 20U;
inline constexpr std::size_t kPage = 8192;

inline struct stat status_of(const std::string& path)
{
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status;
}

// A backup and the directory that its files are placed in.
struct Placing : CopiedBackup {
    Placing() { layout_options.data_directory = target.path(); }

    engine::RestoreLayout layout() const { return {layout_options, manifest}; }

    engine::PlaceReport place(std::size_t workers = 1)
    {
        namespace fs = std::filesystem;
        for (const auto& each : manifest.files) {
            fs::create_directories(fs::path(target / each.path).parent_path());
        }
        engine::PlaceOptions options;
        options.stanza = kRestoreStanza;
        options.workers = workers;
        options.reuse = reuse;
        options.sync = sync;
        options.owner = [](std::uint16_t, std::uint16_t) { return std::pair(~0U, ~0U); };
        engine::Progress progress(total(),
                                  [&](std::uint64_t, std::uint64_t now) { reported = now; });
        const auto report =
            engine::place_files(options, *repository, manifest, layout(), skip, progress);
        done = progress.done();
        return report;
    }

    std::uint64_t total() const
    {
        std::uint64_t total = 0;
        for (const auto& each : manifest.files) {
            total += each.size;
        }
        return total;
    }

    std::string placed(const std::string& path) const
    {
        return read_text_file(target / path, std::size_t{1} << 30U);
    }

    void check_same(const std::string& path) const
    {
        CAPTURE(path);
        // Not CHECK_THAT: nobody wants to see megabytes.
        CHECK((placed(path) == read_text_file(source / path, std::size_t{1} << 30U)));
    }

    TemporaryDirectory target;
    engine::LayoutOptions layout_options;
    engine::Reuse reuse = engine::Reuse::nothing;
    engine::FileSync sync = engine::FileSync::with_filesystem;
    std::vector<std::string> skip;
    std::uint64_t reported = 0;
    std::uint64_t done = 0;
};

// Relation files whose page maps a test makes itself, the oldest first, each in packs of a backup
// of its own.
class HandMadeChain : public Placing {
public:
    HandMadeChain()
    {
        HandMadeManifest empty;
        manifest.directories = empty.manifest.directories;
        manifest.names = empty.manifest.names;
        manifest.directories.push_back({"base/5", 0700, 0, 0});
    }

    // "20261101-020000F" for 0, then increments upon it.
    static std::string label(unsigned backup)
    {
        const std::string full = "20261101-020000F";
        return backup == 0 ? full : fmt::format("{}_202611{:02}-020000I", full, backup + 1);
    }

    // Adds pages as one frame to the map.
    void add_pages(std::string_view pages)
    {
        map.extents.push_back(append(as_bytes(pages)));
        add_hashes(pages);
    }

    // The same as two frames of one pack with one between them that no file has.
    void add_pages_apart(std::string_view first, std::string_view unused, std::string_view second)
    {
        const auto extents = append_all({as_bytes(first), as_bytes(unused), as_bytes(second)});
        add_hashes(first);
        add_hashes(second);
        map.extents.push_back(extents.front());
        map.extents.push_back(extents.back());
    }

    // Ends the map of the file in this backup; the next is in the backup after it.
    void finish_map(std::size_t file_pages)
    {
        map.file_pages = static_cast<std::uint32_t>(file_pages);
        Buffer encoded;
        repository::encode_page_map(map, encoded);
        repository::Extent extent = append(encoded);
        repository::PackName name{label(backup_), extent.pack};
        maps_.insert(maps_.begin(), {std::move(name), extent});
        map = {};
        ++backup_;
    }

    // The file has the maps that were finished since the last one.
    void finish_file(std::uint64_t size, const std::string& path = "base/5/16384")
    {
        repository::ManifestFile file;
        file.path = path;
        file.size = size;
        file.mode = 0600;
        file.mtime = 1795226400'123456789;
        file.content = repository::ContentKind::paged;
        manifest.packs = packs();
        files_.push_back({file, std::move(maps_)});
        maps_.clear();
        backup_ = 0;
        manifest.files.clear();
        for (auto& [each, maps] : files_) {
            each.extents.clear();
            for (const auto& [name, extent] : maps) {
                each.extents.push_back(extent);
                each.extents.back().pack = repository::find_pack(manifest.packs, name).value();
            }
            manifest.files.push_back(each);
        }
    }

    repository::PageMap map;

private:
    using MapPlace = std::pair<repository::PackName, repository::Extent>;

    void add_hashes(std::string_view pages)
    {
        for (std::size_t at = 0; at < pages.size(); at += map.page_size) {
            map.hashes.push_back(codec::page_hash(as_bytes(pages.substr(at, map.page_size)),
                                                  repository->page_hash_key()));
        }
    }

    // Every frame in a pack of its own, so that tests can damage one.
    repository::Extent append(ByteView raw) { return append_all({raw}).front(); }

    std::vector<repository::Extent> append_all(const std::vector<ByteView>& raws)
    {
        auto& set = sets_[backup_];
        if (!set) {
            set = std::make_unique<repository::PackSet>(
                *repository, kRestoreStanza, label(backup_), std::uint64_t{64} << 20U);
        }
        repository::PackWriter writer(*set);
        Buffer scratch;
        std::vector<repository::Extent> extents;
        for (const ByteView raw : raws) {
            extents.push_back(writer.append(codec::make_frame_body(raw, nullptr, scratch)));
        }
        writer.finish();
        return extents;
    }

    std::vector<repository::PackInfo> packs() const
    {
        std::vector<repository::PackInfo> all;
        for (const auto& [backup, set] : sets_) {
            const auto finished = set->finished();
            all.insert(all.end(), finished.begin(), finished.end());
        }
        std::ranges::sort(all, {}, &repository::PackInfo::name);
        return all;
    }

    unsigned backup_ = 0;
    std::map<unsigned, std::unique_ptr<repository::PackSet>> sets_;
    std::vector<MapPlace> maps_; // of the file being made, the newest first
    std::vector<std::pair<repository::ManifestFile, std::vector<MapPlace>>> files_;
};

} // namespace pgstrata::test
