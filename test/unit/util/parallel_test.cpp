// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/sanitizer.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/parallel.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace pgstrata;
using pgstrata::test::HasCode;

TEST_CASE("every index is worked on once, whatever the number of workers", "[util][parallel]")
{
    const std::size_t workers = GENERATE(as<std::size_t>(), 0, 1, 2, 7, 64);
    const std::size_t count = GENERATE(as<std::size_t>(), 0, 1, 5, 1000);
    std::vector<std::atomic<int>> visits(count);

    parallel_for_each(workers, count, [&](std::size_t i) { ++visits[i]; });

    for (const auto& visit : visits) {
        CHECK(visit == 1);
    }
}

TEST_CASE("workers run at the same time and the first on the caller's thread", "[util][parallel]")
{
    constexpr std::size_t kWorkers = 3;
    std::atomic<std::size_t> arrived = 0;
    std::mutex ids_mutex;
    std::set<std::thread::id> ids;
    std::thread::id first;

    run_workers(kWorkers, [&](std::size_t worker, const std::stop_token&) {
        {
            const std::lock_guard lock(ids_mutex);
            ids.insert(std::this_thread::get_id());
            if (worker == 0) {
                first = std::this_thread::get_id();
            }
        }
        // Ends only when all of them are here together.
        ++arrived;
        while (arrived < kWorkers) {
            std::this_thread::yield();
        }
    });

    CHECK(ids.size() == kWorkers);
    CHECK(first == std::this_thread::get_id());
}

TEST_CASE("the first failure stops the others and is the one that is thrown", "[util][parallel]")
{
    std::atomic<bool> failed = false;
    std::atomic<int> told = 0;
    const auto work = [&](std::size_t worker, const std::stop_token& token) {
        if (worker == 1) {
            failed = true;
            raise(ErrorCode::file_read, "the first");
        }
        while (!token.stop_requested()) {
            std::this_thread::yield();
        }
        ++told;
        raise(ErrorCode::file_write, "a consequence");
    };

    CHECK_THROWS_MATCHES(run_workers(3, work), Error, HasCode(ErrorCode::file_read));
    CHECK(failed);
    CHECK(told == 2);
}

TEST_CASE("no new index is begun after a failure", "[util][parallel]")
{
    std::atomic<std::size_t> begun = 0;
    const auto work = [&](std::size_t index) {
        ++begun;
        if (index == 10) {
            raise(ErrorCode::file_read, "index {}", index);
        }
    };
    CHECK_THROWS_MATCHES(parallel_for_each(1, 1000, work), Error, HasCode(ErrorCode::file_read));
    CHECK(begun == 11);
}

TEST_CASE("failures of other kinds pass through too", "[util][parallel]")
{
    CHECK_THROWS_AS(parallel_for_each(4, 10, [](std::size_t) { throw std::bad_alloc(); }),
                    std::bad_alloc);
}

TEST_CASE("there is at least one core", "[util][parallel]")
{
    CHECK(available_cores() >= 1);
}

// A limit on memory stands in for one on processes, which root does not have.
TEST_CASE("workers that cannot be started are an error with a hint", "[util][parallel][bug-45]")
{
    if (test::has_sanitizer()) {
        WARN("SKIPPED: a sanitizer ends the process where it has no memory for a thread");
        return;
    }
    constexpr int kAsExpected = 10; // nothing else ends so
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const rlimit limit{1, 1};
        ::setrlimit(RLIMIT_AS, &limit);
        int outcome = 0;
        try {
            run_workers(200, [](std::size_t, const auto&) {}); // stacks of earlier threads are kept
        } catch (const Error& error) {
            const bool is_told = error.code() == ErrorCode::kernel && !error.hint().empty();
            outcome = is_told ? kAsExpected : 2;
        }
        ::_exit(outcome);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == kAsExpected);
}
