// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/sanitizer.hpp"

#include "pgstrata/codec/zstd.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace pgstrata;
using namespace pgstrata::codec;
using pgstrata::test::HasCode;

namespace {

Buffer patterned(std::size_t size)
{
    Buffer bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes.span()[i] = static_cast<std::byte>((i * i) >> 7U);
    }
    return bytes;
}

} // namespace

TEST_CASE("what is compressed comes back", "[codec][zstd][bug-49]")
{
    const int level = GENERATE(-7, 1, 3, 9, 19);
    const std::size_t size =
        GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{8192}, std::size_t{1} << 20U);
    const Buffer raw = patterned(size);
    Buffer compressed;
    Buffer back(size);

    ZstdCompressor(level).compress(raw, compressed);
    ZstdDecompressor().decompress(compressed, back.span());

    CHECK(as_text(back) == as_text(raw));
}

TEST_CASE("levels 1 to 3 are one for WAL, and the others are zstd's own", "[codec][zstd]")
{
    std::string raw;
    for (unsigned i = 0; raw.size() < 1U << 20U; ++i) {
        raw += fmt::format("{:x} balance of {} is {};", i, i * 7919 % 1000, i * i % 10007);
    }
    const auto compressed = [&raw](ZstdCompressor compressor) {
        Buffer out;
        compressor.compress(as_bytes(raw), out);
        Buffer back(raw.size());
        ZstdDecompressor().decompress(out, back.span());
        CHECK((as_text(back) == raw));
        return std::string(as_text(out));
    };
    const std::string wal = compressed(ZstdCompressor::for_wal(3));
    CHECK((compressed(ZstdCompressor::for_wal(1)) == wal));
    CHECK((compressed(ZstdCompressor::for_wal(2)) == wal));
    CHECK((compressed(ZstdCompressor(3)) != wal));
    const int level = GENERATE(-7, 4, 19);
    CHECK((compressed(ZstdCompressor::for_wal(level)) == compressed(ZstdCompressor(level))));
}

TEST_CASE("a level libzstd does not know is refused", "[codec][zstd]")
{
    CHECK_THROWS_MATCHES(ZstdCompressor(99), Error, HasCode(ErrorCode::option_invalid_value));
}

TEST_CASE("damaged or truncated zstd data is a checksum error", "[codec][zstd]")
{
    Buffer compressed;
    ZstdCompressor(3).compress(patterned(100000), compressed);
    Buffer out(100000);

    SECTION("truncated")
    {
        compressed.resize(compressed.size() - 1);
    }
    SECTION("nothing at all")
    {
        compressed.clear();
    }
    SECTION("another size than was announced")
    {
        out.resize(99999);
    }

    CHECK_THROWS_MATCHES(
        ZstdDecompressor().decompress(compressed, out.span()), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("want of memory is not taken for a fault of the data", "[codec][zstd][bug-58]")
{
    if (pgstrata::test::has_sanitizer()) {
        WARN("SKIPPED: a sanitizer ends the process where malloc(3) would fail");
        return;
    }
    const Buffer raw = patterned(1U << 20U);
    Buffer compressed(2U << 20U);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int outcome = 0;
        try {
            ZstdCompressor compressor(19);
            const rlimit none{1, 1};
            ::setrlimit(RLIMIT_AS, &none);
            compressor.compress(raw, compressed);
        } catch (const Error& error) {
            outcome = error.code() == ErrorCode::memory ? 1 : 2;
        }
        ::_exit(outcome);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 1);
}
