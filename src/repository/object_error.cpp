// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/object_error.hpp"

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/repository.hpp"

namespace pgstrata::repository {

namespace {

constexpr std::size_t kIdentityLimit = 1U << 20U;

bool does_store_answer(const storage::Storage& storage)
{
    try {
        storage::read_file(storage, kRepositoryFile, kIdentityLimit);
        return true;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::terminated) {
            throw;
        }
        return error.code() == ErrorCode::file_missing;
    }
}

} // namespace

bool is_damage(ErrorCode code) noexcept
{
    return code == ErrorCode::checksum || code == ErrorCode::crypto || code == ErrorCode::format ||
           code == ErrorCode::version_not_supported || code == ErrorCode::file_invalid ||
           code == ErrorCode::archive_mismatch;
}

bool is_of_object(ErrorCode code) noexcept
{
    return is_damage(code) || code == ErrorCode::file_missing || code == ErrorCode::file_read;
}

bool is_unusable(ErrorCode code) noexcept
{
    return is_of_object(code) || code == ErrorCode::file_open;
}

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

bool is_one_unreadable(const Repository& repository, const Error& error)
{
    return is_unreadable(error.code()) && does_store_answer(repository.storage());
}

bool is_unusable(const Repository& repository, const Error& error)
{
    return is_of_object(error.code()) || is_one_unreadable(repository, error);
}

} // namespace pgstrata::repository
