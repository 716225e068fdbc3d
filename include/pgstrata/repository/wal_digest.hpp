// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/digest.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace pgstrata::repository {

// The digest in the name of an archived file, 40 lower-case hex digits; pgstrata-repository(5) has
// its two kinds. It tells one file from another, which takes no cryptography: nobody is kept from
// forging a file by it, only by a cipher. The default costs a tenth of compressing the file.
class WalDigest {
public:
    // What new names get: XXH3-128.
    WalDigest() = default;
    // Of the same kind as `digest`, to be compared with it.
    explicit WalDigest(std::string_view digest);

    void update(ByteView bytes);
    std::string finish(); // once

private:
    codec::Xxh3Stream fast_;
    std::optional<codec::Sha256> sha_;
};

// Of a whole file.
std::string wal_digest(ByteView file);
// Of the first `size` bytes of an open file, of the same kind as `like`. Throws Error(file_read)
// that names `path`, also when there are fewer.
std::string wal_digest(int fd, std::uint64_t size, const std::string& path, std::string_view like);

} // namespace pgstrata::repository
