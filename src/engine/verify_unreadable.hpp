// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/repository.hpp"
#include "pgstrata/util/error.hpp"

#include <string>

namespace pgstrata::engine {

// Throws the error again unless the object is damaged, missing or cannot be read.
void rethrow_unless_of_object(const repository::Repository& repository, const Error& error);

// What is wrong, and for what cannot be read also what to try.
std::string problem_of(const Error& error);

} // namespace pgstrata::engine
