// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/non_copyable.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <system_error>

namespace pgstrata::test {

// While it lives the process can open no file; what is open stays so.
class NoDescriptors : NonCopyable {
public:
    NoDescriptors()
    {
        rlimit none{};
        if (::getrlimit(RLIMIT_NOFILE, &before_) == 0) {
            none = {.rlim_cur = 0, .rlim_max = before_.rlim_max};
            if (::setrlimit(RLIMIT_NOFILE, &none) == 0) {
                return;
            }
        }
        throw std::system_error(errno, std::generic_category(), "limit file descriptors");
    }
    ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

} // namespace pgstrata::test
