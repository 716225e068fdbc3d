// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/object_error.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;

TEST_CASE("an error tells damage from what cannot be had and from a store that is away",
          "[repository]")
{
    enum class Says { damage, lost, unusable, nothing };
    using enum ErrorCode;
    const auto [code, says] = GENERATE(table<ErrorCode, Says>({
        {checksum, Says::damage},
        {crypto, Says::damage},
        {format, Says::damage},
        {version_not_supported, Says::damage},
        {file_invalid, Says::damage},
        {archive_mismatch, Says::damage},
        {file_missing, Says::lost},
        {file_read, Says::lost},
        {file_open, Says::unusable},
        {path_missing, Says::nothing},
        {path_open, Says::nothing},
        {access, Says::nothing},
        {service, Says::nothing},
        {host_connect, Says::nothing},
        {terminated, Says::nothing},
    }));
    CAPTURE(static_cast<int>(code));

    CHECK(is_damage(code) == (says == Says::damage));
    CHECK(is_of_object(code) == (says <= Says::lost));
    CHECK(is_unusable(code) == (says <= Says::unusable));
}
