// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/storage_contract.hpp"

#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/storage/memory.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using storage::WriteMode;
using test::HasCode;

namespace {

// What a careful caller does: marks a file as there only after its contents are.
void write_pair(storage::Storage& store)
{
    const auto data = store.create("set/data");
    data->write(as_bytes("first half, "));
    data->write(as_bytes("second half"));
    data->commit();
    test::write_text(store, "set/done", "data");
}

constexpr std::uint64_t kOperationsOfPair = 7;

} // namespace

TEST_CASE("a fault at any step leaves files whole or absent, in order", "[storage][bug-45]")
{
    const auto fail_at = GENERATE(range<std::uint64_t>(1, kOperationsOfPair + 1));
    const auto memory = storage::make_memory_storage();
    storage::FaultPlan plan{.fail_at = fail_at};
    const auto store = storage::make_failing_storage(*memory, plan);

    CHECK_THROWS_MATCHES(write_pair(*store), Error, HasCode(ErrorCode::file_write));

    const bool has_data = memory->info("set/data").has_value();
    CHECK(has_data == (fail_at > 4));
    if (has_data) {
        CHECK(test::read_text(*memory, "set/data") == "first half, second half");
    }
    CHECK_FALSE(memory->info("set/done"));
}

TEST_CASE("without a fault all steps are counted", "[storage]")
{
    const auto memory = storage::make_memory_storage();
    storage::FaultPlan plan;
    const auto store = storage::make_failing_storage(*memory, plan);

    write_pair(*store);

    CHECK(plan.count == kOperationsOfPair);
    CHECK(test::names(*memory, "set") == "data done");
}

TEST_CASE("a file that lost a piece cannot be committed", "[storage][bug-45]")
{
    const auto memory = storage::make_memory_storage();
    storage::FaultPlan plan{.fail_at = 2};
    const auto store = storage::make_failing_storage(*memory, plan);
    const auto file = store->create("a");

    CHECK_THROWS_MATCHES(file->write(as_bytes("x")), Error, HasCode(ErrorCode::file_write));
    CHECK_THROWS_MATCHES(file->write(as_bytes("y")), Error, HasCode(ErrorCode::assertion));
    CHECK_THROWS_MATCHES(file->commit(), Error, HasCode(ErrorCode::assertion));
    CHECK_FALSE(memory->info("a"));
}

TEST_CASE("a broken storage stays broken when asked to", "[storage]")
{
    const bool stay_broken = GENERATE(true, false);
    const auto memory = storage::make_memory_storage();
    storage::FaultPlan plan{.fail_at = 2, .code = ErrorCode::service, .stay_broken = stay_broken};
    const auto store = storage::make_failing_storage(*memory, plan);

    CHECK_NOTHROW(store->info("a"));
    CHECK_THROWS_MATCHES(store->info("a"), Error, HasCode(ErrorCode::service));
    if (stay_broken) {
        CHECK_THROWS_MATCHES(store->remove("a"), Error, HasCode(ErrorCode::service));
    } else {
        CHECK_NOTHROW(store->remove("a"));
    }
}
