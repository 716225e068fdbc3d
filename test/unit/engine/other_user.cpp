// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/other_user.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <optional>

namespace {

std::optional<uid_t> other_user;

uid_t real_user()
{
    return static_cast<uid_t>(::syscall(SYS_geteuid));
}

} // namespace

// These take the place of the C library's.
extern "C" uid_t geteuid() noexcept
{
    return other_user.value_or(real_user());
}

extern "C" int group_member(gid_t) noexcept
{
    return other_user ? 0 : 1;
}

namespace pgstrata::test {

OtherUser::OtherUser() : OtherUser(real_user() + 1) {}

OtherUser::OtherUser(uid_t user)
{
    other_user = user;
}

OtherUser::~OtherUser()
{
    other_user.reset();
}

} // namespace pgstrata::test
