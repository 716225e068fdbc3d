// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/error.hpp"

// What the error of reading an object says of it. What none of these is says that something else is
// wrong, and nothing of the object: so does a host that has too few file descriptors or too little
// memory, which raise_errno() gives codes of its own (kernel, memory) whatever it was asked for.
namespace pgstrata::repository {

class Repository;

// That its bytes are wrong, and not that they cannot be had.
bool is_damage(ErrorCode code) noexcept;
// That its contents are lost: damaged, gone, or on a sector that cannot be read.
bool is_of_object(ErrorCode code) noexcept;
// That it is lost or cannot be opened, which no store says that is away: who is able to do without
// the object may go on.
bool is_unusable(ErrorCode code) noexcept;
// That it cannot be read at the moment, such as for want of a right: nobody may take it for lost. A
// store that is away says the same.
bool is_unreadable(ErrorCode code) noexcept;
// The same of this object and not of all: the identity of the repository, which is read for that,
// can be read.
bool is_one_unreadable(const Repository& repository, const Error& error);
// That it is lost, or cannot be read while others can.
bool is_unusable(const Repository& repository, const Error& error);

} // namespace pgstrata::repository
