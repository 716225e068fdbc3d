// SPDX-License-Identifier: PostgreSQL
#pragma once

namespace pgstrata {

class NonCopyable {
public:
    NonCopyable() = default;
    NonCopyable(const NonCopyable&) = delete;
    NonCopyable& operator=(const NonCopyable&) = delete;
    NonCopyable(NonCopyable&&) = delete;
    NonCopyable& operator=(NonCopyable&&) = delete;

protected:
    ~NonCopyable() = default;
};

} // namespace pgstrata
