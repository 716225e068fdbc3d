// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/util/error.hpp"

#include <cstdint>
#include <memory>

namespace pgstrata::test {

// Passes everything to `inner`, which must outlive it, and dies at a later operation each time.
class StorageThatDies {
public:
    explicit StorageThatDies(storage::Storage& inner)
        : failing_(storage::make_failing_storage(inner, plan_))
    {
        plan_.stay_broken = true;
    }
    // False when the work was cut off.
    template <typename Work>
    bool survives_later(const Work& work)
    {
        plan_.count = 0;
        ++plan_.fail_at;
        try {
            work(*failing_);
            return true;
        } catch (const Error&) {
            return false;
        }
    }
    std::uint64_t died_at() const { return plan_.fail_at; }

private:
    storage::FaultPlan plan_;
    std::unique_ptr<storage::Storage> failing_;
};

} // namespace pgstrata::test
