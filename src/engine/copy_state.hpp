// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/page_collector.hpp"

#include "pgstrata/engine/copy.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/once.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace pgstrata::engine {

// A large relation file that several workers read at once.
struct SharedFile {
    Once opened;
    FileDescriptor descriptor;
    std::optional<GentleReader> gentle;
    PageFile file;
    bool is_missing = false;
    KnownPages known;
    std::mutex bad_pages_mutex;
    std::vector<std::uint32_t> bad_pages;
    std::vector<repository::PageMap> parts;
    std::atomic<std::uint32_t> parts_left = 0;
};

// Those that are at work: a few at one moment, whatever the size of the database. Any thread.
class SharedFiles {
public:
    // The file, with that many parts left when it is the first time.
    SharedFile& get(std::uint32_t index, std::uint32_t parts);
    // When its last part is done.
    void forget(std::uint32_t index);

private:
    std::mutex files_mutex_;
    std::unordered_map<std::uint32_t, SharedFile> files_;
};

// What all workers of one copy share.
struct CopyState : NonCopyable {
    CopyState(const CopyOptions& copy_options,
              const BackupPlan& copy_plan,
              repository::Manifest& copy_manifest,
              Progress& copy_progress)
        : options(copy_options), plan(copy_plan), manifest(copy_manifest), progress(copy_progress),
          is_vanished(copy_manifest.files.size())
    {
    }

    const CopyOptions& options;
    const BackupPlan& plan;
    repository::Manifest& manifest;
    Progress& progress;
    std::atomic<std::size_t> next_unit = 0;
    std::atomic<std::uint64_t> read = 0;
    std::atomic<std::uint64_t> stored = 0;
    SharedFiles shared;
    std::vector<char> is_vanished; // one writer an element
};

void set_empty(repository::ManifestFile& file);
void set_vanished(CopyState& state, std::uint32_t index);

// When the file has been read. Of one that was written to since it was listed the bytes may be
// newer than the listing's time, and must not pass for what another backup has of that time.
void set_time(repository::ManifestFile& file, const FileDescriptor& descriptor);

void report_copied(const CopyState& state, const repository::ManifestFile& file);

} // namespace pgstrata::engine
