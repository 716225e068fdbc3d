// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/handle.hpp"

extern "C" {
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;
std::size_t ZSTD_freeCCtx(ZSTD_CCtx_s*);
std::size_t ZSTD_freeDCtx(ZSTD_DCtx_s*);
}

namespace pgstrata::codec {

// One-shot compression with a context that is kept from frame to frame. One thread at a time. All
// throw Error(memory) where libzstd has none.
class ZstdCompressor {
public:
    // Throws Error(option_invalid_value) for a level that libzstd does not know.
    explicit ZstdCompressor(int level);
    // The same, but that levels 1 to 3 are one, made for WAL: as small as level 3 (within some
    // percent, smaller for most) in two thirds of its time or less.
    static ZstdCompressor for_wal(int level);
    // Replaces the contents of `out` with one zstd frame that states its content size.
    void compress(ByteView raw, Buffer& out);

private:
    Handle<ZSTD_CCtx_s, &ZSTD_freeCCtx> context_;
};

class ZstdDecompressor {
public:
    ZstdDecompressor();
    // Fills exactly `out`; throws Error(checksum) when the bytes are damaged or give another size.
    void decompress(ByteView compressed, MutableBytes out);

private:
    Handle<ZSTD_DCtx_s, &ZSTD_freeDCtx> context_;
};

} // namespace pgstrata::codec
