// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/wal_digest.hpp"

#include "pgstrata/codec/object.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/hex.hpp"

#include <algorithm>

namespace pgstrata::repository {

namespace {

// "xxh3": what tells a name of this kind from the beginning of a SHA-256, but once in 2^32 names.
constexpr std::string_view kFastMark = "78786833";
constexpr std::size_t kShaBytes = 20;

} // namespace

WalDigest::WalDigest(std::string_view digest)
{
    if (!digest.ends_with(kFastMark)) {
        sha_.emplace();
    }
}

void WalDigest::update(ByteView bytes)
{
    if (sha_) {
        sha_->update(bytes);
    } else {
        fast_.update(bytes);
    }
}

std::string WalDigest::finish()
{
    if (sha_) {
        return to_hex(ByteView(sha_->finish()).first(kShaBytes));
    }
    return to_hex(fast_.finish()).append(kFastMark);
}

std::string wal_digest(ByteView file)
{
    WalDigest digest;
    digest.update(file);
    return digest.finish();
}

std::string wal_digest(int fd, std::uint64_t size, const std::string& path, std::string_view like)
{
    WalDigest digest(like);
    Buffer stretch;
    for (std::uint64_t offset = 0; offset < size; offset += stretch.size()) {
        stretch.resize(std::min<std::uint64_t>(codec::kFrameRawLimit, size - offset));
        if (pread_fully(fd, stretch.span(), offset, path) != stretch.size()) {
            raise(ErrorCode::file_read, "'{}' became shorter while it was read", path);
        }
        digest.update(stretch);
    }
    return digest.finish();
}

} // namespace pgstrata::repository
