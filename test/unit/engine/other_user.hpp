// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <sys/types.h>

namespace pgstrata::test {

// While there is one, the process takes itself for another user: `user`, or some other than the
// owner of its files and in none of its groups. What it may do with them stays as it is.
class OtherUser {
public:
    OtherUser();
    explicit OtherUser(uid_t user);
    OtherUser(const OtherUser&) = delete;
    OtherUser& operator=(const OtherUser&) = delete;
    ~OtherUser();
};

} // namespace pgstrata::test
