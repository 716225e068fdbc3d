// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_unreadable.hpp"

#include "pgstrata/repository/object_error.hpp"

#include <fmt/format.h>

namespace pgstrata::engine {

void rethrow_unless_of_object(const repository::Repository& repository, const Error& error)
{
    if (!repository::is_unusable(repository, error)) {
        throw Error(error);
    }
}

std::string problem_of(const Error& error)
{
    return repository::is_unreadable(error.code()) && !error.hint().empty()
               ? fmt::format("{} ({})", error.what(), error.hint())
               : error.what();
}

} // namespace pgstrata::engine
