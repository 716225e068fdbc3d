// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/other_user.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace {

bool is_other_user = false;

} // namespace

// This takes the place of the C library's.
extern "C" uid_t geteuid() noexcept
{
    return static_cast<uid_t>(::syscall(SYS_geteuid)) + (is_other_user ? 1 : 0);
}

namespace pgstrata::test {

OtherUser::OtherUser()
{
    is_other_user = true;
}

OtherUser::~OtherUser()
{
    is_other_user = false;
}

} // namespace pgstrata::test
