// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/cache_gauge.hpp"

#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/gentle_reader.hpp"
#include "pgstrata/util/time.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace pgstrata::engine {

struct FileAttributes {
    std::uint32_t user = ~0U; // ~0U leaves user and group as they are
    std::uint32_t group = ~0U;
    std::uint32_t mode = 0600;              // permission bits
    std::optional<UnixNanoseconds> mtime{}; // none leaves it as the writing made it
};

// A file that a restore writes, opened for reading and writing. Links in its place are not
// followed. Several threads may read and write different stretches.
class TargetFile {
public:
    // A new file; what a regular file in its place held is gone.
    static TargetFile create(const std::string& path);
    // The same for a large file. What `gauge` admits is written through the page cache, the rest
    // past it where the filesystem can: all of it is synced in the end anyway. `gauge` outlives the
    // file.
    static TargetFile create_large(const std::string& path, std::uint64_t size, CacheGauge& gauge);
    // The regular file that is there, if it may be changed in place. One that may not (it has other
    // names, or belongs to somebody else) is removed, so that a new one can take its place.
    static std::optional<TargetFile> open_existing(const std::string& path);

    const std::string& path() const noexcept { return path_; }
    // As they were when the file was opened.
    std::uint64_t size() const noexcept { return size_; }
    UnixNanoseconds mtime() const noexcept { return mtime_; }

    // Returns fewer bytes only at the end of the file. Of a large file that was there, only what is
    // cached comes from the page cache: filling it costs more than comparing.
    std::size_t read(std::uint64_t offset, MutableBytes out) const;
    // A failure of the disk may also be told by the sync that must follow.
    void write(std::uint64_t offset, ByteView bytes) const;
    void resize(std::uint64_t size) const;
    void sync() const;
    // Sets what is not so yet and closes the file.
    void finish(const FileAttributes& attributes);

private:
    TargetFile(FileDescriptor file, std::string path);
    void write_cached(std::uint64_t offset, ByteView bytes) const;

    FileDescriptor file_;
    FileDescriptor direct_;       // of a large file that is new, past the cache
    CacheGauge* gauge_ = nullptr; // of such a file
    std::string path_;
    std::unique_ptr<GentleReader> reader_; // of a large file that was there
    std::uint64_t size_ = 0;
    UnixNanoseconds mtime_ = 0;
};

} // namespace pgstrata::engine
