// SPDX-License-Identifier: PostgreSQL
#include "storage/posix_file.hpp"
#include "support/storage_contract.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/storage/memory.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using test::StorageUnderTest;

namespace {

// On the disk: what lies in memory may know less of the ways to write a file.
StorageUnderTest on_disk(storage::Unfinished unfinished)
{
    auto directory = std::make_shared<test::TemporaryDirectory>();
    auto store = storage::make_posix_storage({.root = *directory / "new/root"}, unfinished);
    return {std::move(directory), std::move(store)};
}

struct Decorated {
    std::unique_ptr<storage::Storage> inner = storage::make_memory_storage();
    storage::FaultPlan plan;
};

} // namespace

TEST_CASE("files written without a name keep the storage contract", "[storage][bug-42][bug-52]")
{
    test::check_storage_contract([] { return on_disk(storage::Unfinished::nameless); });
}

TEST_CASE("files written under a temporary name keep the storage contract",
          "[storage][bug-42][bug-52]")
{
    test::check_storage_contract([] { return on_disk(storage::Unfinished::named); });
}

TEST_CASE("memory keeps the storage contract", "[storage]")
{
    test::check_storage_contract(
        [] {
            return StorageUnderTest{nullptr, storage::make_memory_storage()};
        },
        {.has_directories = false});
}

TEST_CASE("a storage whose faults are not due keeps the storage contract", "[storage]")
{
    test::check_storage_contract(
        [] {
            auto parts = std::make_shared<Decorated>();
            auto store = storage::make_failing_storage(*parts->inner, parts->plan);
            return StorageUnderTest{std::move(parts), std::move(store)};
        },
        {.has_directories = false});
}
