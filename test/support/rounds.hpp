// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/sanitizer.hpp"

namespace pgstrata::test {

// How often a random test is repeated: `all` times, and a fifth of it where a sanitizer makes each
// of them slow. The seeds are the same, from the first on.
inline unsigned rounds(unsigned all)
{
    return has_sanitizer() ? all / 5 : all;
}

// How far apart the operations are that a test makes fail one after the other: three times as far
// where a sanitizer makes each of them slow.
inline unsigned stride(unsigned usual)
{
    return has_sanitizer() ? 3 * usual : usual;
}

} // namespace pgstrata::test
