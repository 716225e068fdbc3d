// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/error.hpp"

// What the error of reading an object says of it. What none of these is says that the store is
// away, or that something else is wrong, and nothing of the object. Each holds the one before.
namespace pgstrata::repository {

// That its bytes are wrong, and not that they cannot be had.
bool is_damage(ErrorCode code) noexcept;
// That its contents are lost: damaged, gone, or on a sector that cannot be read.
bool is_of_object(ErrorCode code) noexcept;
// That it is of no use now: it may only be that it cannot be opened, for want of a right. Nobody
// may take it for lost, but who is able to do without it may go on.
bool is_unusable(ErrorCode code) noexcept;

} // namespace pgstrata::repository
