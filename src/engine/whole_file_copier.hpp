// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/copy_state.hpp"
#include "engine/frame_packer.hpp"

#include "pgstrata/util/bytes.hpp"

#include <cstdint>

namespace pgstrata::engine {

// Copies files that are stored whole. One thread.
class WholeFileCopier : NonCopyable {
public:
    // Both must outlive the copier.
    WholeFileCopier(CopyState& state, FramePacker& packer) : state_(state), packer_(packer) {}

    void copy(std::uint32_t index);

private:
    bool may_be_as_before(std::uint32_t index) const;
    bool
    take_known(std::uint32_t index, repository::ManifestFile& file, const codec::Digest128& digest);
    void copy_small(std::uint32_t index,
                    repository::ManifestFile& file,
                    const FileDescriptor& descriptor);
    bool is_stored(std::uint32_t index,
                   repository::ManifestFile& file,
                   const FileDescriptor& descriptor);
    void copy_stream(std::uint32_t index,
                     repository::ManifestFile& file,
                     const FileDescriptor& descriptor);
    void check_tail(repository::ManifestFile& file, const FileDescriptor& descriptor) const;

    CopyState& state_;
    FramePacker& packer_;
    Buffer buffer_;
};

} // namespace pgstrata::engine
