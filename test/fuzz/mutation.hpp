// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <random>
#include <string>
#include <vector>

namespace pgstrata::test {

using Random = std::mt19937_64;

// A seed with a few edits: bits flipped, bytes and numbers at their limits set, stretches cut out,
// doubled, taken from another seed, or the end cut off. The same state of `random` gives the same.
std::string mutate(const std::vector<std::string>& seeds, Random& random);

} // namespace pgstrata::test
