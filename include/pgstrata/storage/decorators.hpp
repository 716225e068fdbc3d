// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"
#include "pgstrata/util/error.hpp"

#include <atomic>

namespace pgstrata::storage {

// Passes everything to `inner`, which must outlive it, until the operation with the number
// `fail_at` (counted from 1; info, list, open, read_at, create, write, commit, make_durable, remove
// and remove_directory each count as one) throws Error(code). Later operations work again unless
// `stay_broken`.
struct FaultPlan {
    std::uint64_t fail_at = 0; // 0: never
    ErrorCode code = ErrorCode::file_write;
    bool stay_broken = false;
    std::atomic<std::uint64_t> count = 0;
};
std::unique_ptr<Storage> make_failing_storage(Storage& inner, FaultPlan& plan);

} // namespace pgstrata::storage
