// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/error.hpp"

#include <catch2/catch.hpp>

namespace pgstrata::test {

// CHECK_THROWS_MATCHES(f(), Error, HasCode(ErrorCode::format))
class HasCode : public Catch::MatcherBase<Error> {
public:
    explicit HasCode(ErrorCode code) : code_(code) {}
    bool match(const Error& error) const override { return error.code() == code_; }
    std::string describe() const override
    {
        return "has code " + std::to_string(static_cast<int>(code_));
    }

private:
    ErrorCode code_;
};

} // namespace pgstrata::test
