// SPDX-License-Identifier: PostgreSQL
#include "engine/added_files.hpp"

#include "engine/frame_packer.hpp"

#include "pgstrata/util/time.hpp"

#include <algorithm>

namespace pgstrata::engine {

void AddedFiles::add(std::string path, std::uint32_t mode, ByteView bytes)
{
    const repository::ManifestDirectory& root = manifest_.directories.front();
    repository::ManifestFile file;
    file.path = std::move(path);
    file.size = bytes.size();
    file.mtime = now_nanoseconds();
    file.mode = mode;
    file.user = root.user;
    file.group = root.group;
    file.content = repository::ContentKind::whole;
    file.digest = codec::xxh3_128(bytes);
    FramePacker packer(packs_, manifest_, compress_level_);
    while (!bytes.empty()) {
        const ByteView piece = bytes.first(std::min(bytes.size(), codec::kFrameRawLimit));
        file.extents.push_back(packer.in_manifest(packer.add_frame(piece)));
        bytes = bytes.subspan(piece.size());
    }
    packer.finish();
    bytes_ += file.size;
    const auto at =
        std::ranges::lower_bound(manifest_.files, file.path, {}, &repository::ManifestFile::path);
    manifest_.files.insert(at, std::move(file));
}

} // namespace pgstrata::engine
