// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/error.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

// What libFuzzer calls; so does the driver.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace pgstrata::test {

inline ByteView input_bytes(const std::uint8_t* data, std::size_t size)
{
    return {reinterpret_cast<const std::byte*>(data), size};
}

// Runs a parser on bytes of no good will. An Error is the answer they deserve; any other exception
// is a fault of the parser and ends the process.
template <typename Parse>
bool survives(const Parse& parse)
{
    try {
        parse();
        return true;
    } catch (const Error&) {
        return false;
    }
}

// Ends the process when a parser let through what it must not.
inline void require(bool condition)
{
    if (!condition) {
        std::abort();
    }
}

} // namespace pgstrata::test
