// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/repository.hpp"
#include "pgstrata/util/error.hpp"

#include <string>

namespace pgstrata::engine {

// Codes of what cannot be read at the moment, such as for want of a permission. Nothing says that
// it is damaged.
bool is_unreadable(ErrorCode code) noexcept;

// Whether that is a matter of one object: the repository's identity can be read at the same time. A
// store that does not answer says nothing about an object.
bool is_one_unreadable(const repository::Repository& repository, const Error& error);

// Throws the error again unless the object is damaged, missing or cannot be read.
void rethrow_unless_of_object(const repository::Repository& repository, const Error& error);

// What is wrong, and for what cannot be read also what to try.
std::string problem_of(const Error& error);

} // namespace pgstrata::engine
