// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/zstd.hpp"
#include "pgstrata/repository/manifest.hpp"

#include <optional>
#include <string>

namespace pgstrata::engine {

// Puts files whose bytes are at hand into a backup, such as pg_control and WAL: into the packs, and
// into the manifest at their place in the order of paths. They belong to whom the data directory
// belongs to. One thread.
class AddedFiles : NonCopyable {
public:
    AddedFiles(repository::PackSet& packs,
               repository::Manifest& manifest,
               std::optional<int> compress_level)
        : packs_(packs), manifest_(manifest), compress_level_(compress_level)
    {
    }

    void add(std::string path, std::uint32_t mode, ByteView bytes);
    std::uint64_t bytes() const noexcept { return bytes_; } // of all that were added

private:
    repository::PackSet& packs_;
    repository::Manifest& manifest_;
    std::optional<int> compress_level_;
    std::uint64_t bytes_ = 0;
};

} // namespace pgstrata::engine
