// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_unreadable.hpp"

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/object_error.hpp"

#include <fmt/format.h>

namespace pgstrata::engine {

namespace {

constexpr std::size_t kIdentityLimit = 1U << 20U;

bool does_store_answer(const storage::Storage& storage)
{
    try {
        storage::read_file(storage, repository::kRepositoryFile, kIdentityLimit);
        return true;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::terminated) {
            throw;
        }
        return error.code() == ErrorCode::file_missing;
    }
}

} // namespace

bool is_unreadable(ErrorCode code) noexcept
{
    switch (code) {
        using enum ErrorCode;
    case access:
    case file_info:
    case file_open:
    case path_open:
    case service:
        return true;
    default:
        return false;
    }
}

bool is_one_unreadable(const repository::Repository& repository, const Error& error)
{
    return is_unreadable(error.code()) && does_store_answer(repository.storage());
}

void rethrow_unless_of_object(const repository::Repository& repository, const Error& error)
{
    if (!repository::is_of_object(error.code()) && !is_one_unreadable(repository, error)) {
        throw Error(error);
    }
}

std::string problem_of(const Error& error)
{
    return is_unreadable(error.code()) && !error.hint().empty()
               ? fmt::format("{} ({})", error.what(), error.hint())
               : error.what();
}

} // namespace pgstrata::engine
