// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/object_error.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

enum class Says { damage, lost, unreadable, nothing };

bool is_unusable_while(const std::function<void()>& identity_is_read, ErrorCode code)
{
    MemoryRepository memory;
    bool is_open = false;
    HookedStorage storage(*memory.storage, [&](StorageCall, std::string_view path) {
        if (is_open && path == kRepositoryFile) {
            identity_is_read();
        }
    });
    const auto repository = Repository::open(storage, {});
    is_open = true;
    return is_unusable(*repository, Error(code, "x"));
}

} // namespace

TEST_CASE("an error tells damage from what cannot be had and from a store that is away",
          "[repository]")
{
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
        {file_open, Says::unreadable},
        {file_info, Says::unreadable},
        {path_open, Says::unreadable},
        {access, Says::unreadable},
        {service, Says::unreadable},
        {path_missing, Says::nothing},
        {host_connect, Says::nothing},
        {kernel, Says::nothing},
        {memory, Says::nothing},
        {terminated, Says::nothing},
    }));
    CAPTURE(static_cast<int>(code));

    CHECK(is_damage(code) == (says == Says::damage));
    CHECK(is_of_object(code) == (says <= Says::lost));
    CHECK(is_unusable(code) == (says <= Says::lost || code == file_open));
    CHECK(is_unreadable(code) == (says == Says::unreadable));
    CHECK(is_unusable_while([] {}, code) == (says <= Says::unreadable));
    CHECK(is_unusable_while([] { raise(access, "refused"); }, code) == (says <= Says::lost));
}
