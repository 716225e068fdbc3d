// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/object_error.hpp"

namespace pgstrata::repository {

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

} // namespace pgstrata::repository
