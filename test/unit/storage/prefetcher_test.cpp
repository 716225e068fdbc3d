// SPDX-License-Identifier: PostgreSQL
#include "storage/prefetcher.hpp"
#include "support/matchers.hpp"

#include "pgstrata/util/error.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <optional>
#include <set>
#include <thread>

using namespace pgstrata;
using namespace pgstrata::storage;
using pgstrata::test::HasCode;

namespace {

// Byte n of the object is n modulo 251.
std::byte byte_at(std::uint64_t at)
{
    return static_cast<std::byte>(at % 251);
}

class Fetching {
public:
    void operator()(std::uint64_t offset, MutableBytes out)
    {
        {
            std::unique_lock lock(mutex_);
            begun_.insert(offset);
            changed_.notify_all();
            changed_.wait(lock, [&] { return !is_held_; });
        }
        if (fails) {
            raise(ErrorCode::file_read, "no");
        }
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] = byte_at(offset + i);
        }
    }
    // The offsets that were asked for, once there are so many.
    std::multiset<std::uint64_t> wait_for(std::size_t count)
    {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::seconds(20), [&] { return begun_.size() >= count; });
        return begun_;
    }
    void hold(bool is_held)
    {
        const std::lock_guard lock(mutex_);
        is_held_ = is_held;
        changed_.notify_all();
    }

    bool fails = false;

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::multiset<std::uint64_t> begun_;
    bool is_held_ = false;
};

// Blocks of 100 bytes.
struct Fixture {
    Fetching fetching;
    Prefetcher prefetcher{100, std::ref(fetching)};

    // Whether there are `size` bytes at `at`, and the right ones.
    bool has(std::uint64_t at, std::size_t size)
    {
        Buffer bytes(size);
        const std::size_t got = prefetcher.read(at, bytes.span());
        for (std::size_t i = 0; i < got; ++i) {
            REQUIRE(bytes.data()[i] == byte_at(at + i));
        }
        return got == size;
    }
};

using Offsets = std::multiset<std::uint64_t>;

} // namespace

TEST_CASE_METHOD(Fixture, "what is expected is fetched before it is read, and once", "[s3]")
{
    prefetcher.expect(1000, 1060);
    prefetcher.expect(1000, 1060);
    prefetcher.expect(1030, 1060);
    CHECK(fetching.wait_for(1) == Offsets{1000});
    CHECK(has(1000, 20));
    CHECK(has(1020, 40));
    CHECK(fetching.wait_for(1) == Offsets{1000});
}

TEST_CASE_METHOD(Fixture, "while one block is read the next is fetched, and no more", "[s3]")
{
    prefetcher.expect(0, 350);
    CHECK(fetching.wait_for(2) == Offsets{0, 100});
    CHECK(has(0, 99));
    CHECK(fetching.wait_for(2) == Offsets{0, 100});
    CHECK(has(99, 1));
    CHECK(fetching.wait_for(3) == Offsets{0, 100, 200});
    CHECK(has(100, 100));
    CHECK(has(200, 100));
    CHECK(has(300, 50));
    CHECK(fetching.wait_for(4) == Offsets{0, 100, 200, 300});
}

TEST_CASE_METHOD(Fixture, "what was not expected is not there", "[s3]")
{
    CHECK_FALSE(has(0, 1));
    prefetcher.expect(100, 150);
    CHECK_FALSE(has(99, 1));
    CHECK_FALSE(has(150, 1));
    CHECK(has(100, 50));
    CHECK_FALSE(has(100, 50)); // it was, and has been read
    prefetcher.expect(20, 20);
    prefetcher.expect(20, 10);
    CHECK(fetching.wait_for(1) == Offsets{100});
}

TEST_CASE_METHOD(Fixture, "who skips a part of a stretch waits for no block before it", "[s3]")
{
    prefetcher.expect(0, 1000);
    CHECK(has(730, 40));
    CHECK(fetching.wait_for(3) == Offsets{0, 100, 730});
    CHECK(has(770, 60));
}

TEST_CASE_METHOD(Fixture, "of three stretches the one gives way that is being read", "[s3]")
{
    prefetcher.expect(0, 50);
    prefetcher.expect(1000, 1050);
    const bool is_second_read = GENERATE(false, true);
    if (is_second_read) {
        CHECK(has(1000, 20));
    }
    prefetcher.expect(2000, 2050);
    CHECK(has(2000, 50));
    CHECK(has(is_second_read ? 0 : 1000, 50));
    CHECK_FALSE(has(is_second_read ? 1000 : 0, 50));
}

TEST_CASE_METHOD(Fixture, "a failure to fetch is told to who reads", "[s3]")
{
    fetching.fails = true;
    prefetcher.expect(0, 50);
    CHECK_THROWS_MATCHES(has(0, 50), Error, HasCode(ErrorCode::file_read));
}

TEST_CASE("a prefetcher ends when what is on its way has come", "[s3]")
{
    Fetching fetching;
    fetching.hold(true);
    std::optional<Prefetcher> prefetcher;
    prefetcher.emplace(100, std::ref(fetching));
    prefetcher->expect(0, 50);
    fetching.wait_for(1);
    std::atomic<bool> has_ended = false;
    std::jthread ending([&] {
        prefetcher.reset();
        has_ended = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK_FALSE(has_ended);
    fetching.hold(false);
    ending.join();
    CHECK(has_ended);
}

TEST_CASE("a prefetcher of blocks of no length fetches nothing", "[s3]")
{
    Fetching fetching;
    Prefetcher prefetcher(0, std::ref(fetching));
    prefetcher.expect(0, 50);
    Buffer bytes(50);
    CHECK(prefetcher.read(0, bytes.span()) == 0);
    CHECK(fetching.wait_for(0).empty());
}
