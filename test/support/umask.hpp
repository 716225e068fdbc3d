// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <sys/stat.h>

namespace pgstrata::test {

// The umask of the process, for as long as this lives.
class Umask {
public:
    explicit Umask(mode_t mask) : old_(::umask(mask)) {}
    Umask(const Umask&) = delete;
    Umask& operator=(const Umask&) = delete;
    ~Umask() { ::umask(old_); }

private:
    mode_t old_;
};

} // namespace pgstrata::test
