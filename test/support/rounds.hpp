// SPDX-License-Identifier: PostgreSQL
#pragma once

namespace pgstrata::test {

// How often a random test is repeated: `all` times, and a fifth of it where a sanitizer makes each
// of them slow. The seeds are the same, from the first on.
constexpr unsigned rounds(unsigned all)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return all / 5;
#else
    return all;
#endif
}

} // namespace pgstrata::test
