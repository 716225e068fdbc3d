// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/wal_digest.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;

// By the xxHash library and by sha256sum.
constexpr auto kFastOfAbc = "06b05ab6733a618578af5f94892f395078786833";
constexpr auto kShaOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a3";

TEST_CASE("the digest of a new WAL file is its XXH3-128 and a mark", "[repository][wal]")
{
    CHECK(wal_digest(as_bytes("abc")) == kFastOfAbc);
}

TEST_CASE("a digest is made of the kind of the one that it is compared with", "[repository][wal]")
{
    const std::string expected = GENERATE(kFastOfAbc, kShaOfAbc);
    WalDigest digest(expected);
    digest.update(as_bytes("a"));
    digest.update(as_bytes("bc"));
    CHECK(digest.finish() == expected);
}
