// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/wal_digest.hpp"

#include "pgstrata/util/hex.hpp"

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

} // namespace pgstrata::repository
