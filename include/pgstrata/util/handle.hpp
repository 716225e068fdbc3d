// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <memory>

namespace pgstrata {

template <auto Release>
struct HandleDeleter {
    template <typename T>
    void operator()(T* handle) const noexcept
    {
        Release(handle);
    }
};

// Owns a handle of a C library and is no bigger than a pointer: Handle<ZSTD_CCtx, &ZSTD_freeCCtx>.
template <typename T, auto Release>
using Handle = std::unique_ptr<T, HandleDeleter<Release>>;

} // namespace pgstrata
