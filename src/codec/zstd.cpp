// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/codec/zstd.hpp"

#include "pgstrata/util/error.hpp"

#include <zstd.h>

namespace pgstrata::codec {

ZstdCompressor::ZstdCompressor(int level) : context_(ZSTD_createCCtx())
{
    if (!context_) {
        raise(ErrorCode::memory, "unable to make a zstd context");
    }
    if (level < ZSTD_minCLevel() || level > ZSTD_maxCLevel()) {
        raise(ErrorCode::option_invalid_value,
              "zstd level {} is not between {} and {}",
              level,
              ZSTD_minCLevel(),
              ZSTD_maxCLevel());
    }
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
}

void ZstdCompressor::compress(ByteView raw, Buffer& out)
{
    out.resize(ZSTD_compressBound(raw.size()));
    const std::size_t size =
        ZSTD_compress2(context_.get(), out.data(), out.size(), raw.data(), raw.size());
    if (ZSTD_isError(size) != 0) {
        raise(ErrorCode::assertion, "zstd: {}", ZSTD_getErrorName(size));
    }
    out.resize(size);
}

ZstdDecompressor::ZstdDecompressor() : context_(ZSTD_createDCtx())
{
    if (!context_) {
        raise(ErrorCode::memory, "unable to make a zstd context");
    }
}

void ZstdDecompressor::decompress(ByteView compressed, MutableBytes out)
{
    const std::size_t size = ZSTD_decompressDCtx(
        context_.get(), out.data(), out.size(), compressed.data(), compressed.size());
    if (ZSTD_isError(size) != 0) {
        raise(ErrorCode::checksum, "compressed data is damaged: {}", ZSTD_getErrorName(size));
    }
    if (size != out.size()) {
        raise(
            ErrorCode::checksum, "compressed data gives {} bytes instead of {}", size, out.size());
    }
}

} // namespace pgstrata::codec
