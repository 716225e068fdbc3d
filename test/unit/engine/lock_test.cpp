// SPDX-License-Identifier: PostgreSQL
#include "engine/lock_file.hpp"
#include "support/matchers.hpp"
#include "support/recorded_log.hpp"
#include "support/temporary_directory.hpp"
#include "unit/engine/other_user.hpp"

#include "pgstrata/engine/lock.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

using namespace pgstrata;
using engine::LocalLock;
using engine::LockType;
using test::HasCode;
namespace fs = std::filesystem;

namespace {

struct LockFixture {
    engine::LockRequest request(std::vector<LockType> types = {LockType::backup},
                                std::vector<unsigned> keys = {1}) const
    {
        return {.lock_path = path, .stanza = "demo", .types = types, .repo_keys = keys};
    }
    nlohmann::json body(const std::string& name) const
    {
        return nlohmann::json::parse(read_text_file(path + "/" + name));
    }
    std::optional<engine::LockStatus> status(unsigned key = 1) const
    {
        return engine::read_lock(path, "demo", LockType::backup, key);
    }

    test::TemporaryDirectory directory;
    std::string path = directory / "a/locks";
};

// A process that holds a lock and waits to be killed.
class Holder {
public:
    explicit Holder(const engine::LockRequest& request)
    {
        std::array<int, 2> ends{};
        REQUIRE(::pipe(ends.data()) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            ::signal(SIGTERM, SIG_DFL);
            const LocalLock lock(request);
            static_cast<void>(::write(ends[1], "x", 1));
            for (;;) {
                ::pause();
            }
        }
        ::close(ends[1]);
        char ready = 0;
        REQUIRE(::read(ends[0], &ready, 1) == 1);
        ::close(ends[0]);
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder()
    {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }

    pid_t pid() const { return pid_; }
    // The signal that ended it.
    int wait()
    {
        int status = 0;
        ::waitpid(std::exchange(pid_, -1), &status, 0);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    }

private:
    pid_t pid_ = -1;
};

} // namespace

TEST_CASE_METHOD(LockFixture, "a lock file names the process and goes away with the lock", "[lock]")
{
    const std::string name = "demo-backup-1.lock";
    {
        const LocalLock lock(request());

        const auto content = body(name);
        CHECK(content.size() == 2);
        CHECK(content["pid"] == ::getpid());
        CHECK_THAT(content["execId"].get<std::string>(),
                   Catch::Matches(std::to_string(::getpid()) + "-[0-9a-f]{8}"));
        struct stat file {};
        REQUIRE(::stat((path + "/" + name).c_str(), &file) == 0);
        CHECK((file.st_mode & 0777U) == 0640);
    }
    CHECK(fs::is_empty(path));
}

TEST_CASE_METHOD(LockFixture, "a lock is taken for each type and each repository", "[lock]")
{
    const LocalLock lock(request({LockType::archive, LockType::restore}, {3, 1, 3}));

    for (const auto* name : {"demo-archive-1.lock",
                             "demo-archive-3.lock",
                             "demo-restore-1.lock",
                             "demo-restore-3.lock"}) {
        CHECK(fs::exists(path + "/" + name));
    }
    CHECK(std::distance(fs::directory_iterator(path), {}) == 4);
    CHECK(body("demo-archive-1.lock") == body("demo-restore-3.lock"));
}

TEST_CASE_METHOD(LockFixture, "a held lock is an error that names the file", "[lock][bug-46]")
{
    const Holder holder(request({LockType::backup}, {2}));

    try {
        const LocalLock lock(request({LockType::backup}, {1, 2}));
        FAIL("locked twice");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::lock_acquire);
        CHECK_THAT(error.hint(), Catch::Contains(path + "/demo-backup-2.lock"));
    }
    CHECK_FALSE(fs::exists(path + "/demo-backup-1.lock"));
    CHECK_NOTHROW(LocalLock(request({LockType::backup}, {1})));
    CHECK_NOTHROW(LocalLock(request({LockType::archive}, {2})));
}

TEST_CASE_METHOD(LockFixture, "an error that is not a held lock says what it is", "[lock][bug-46]")
{
    fs::create_directories(directory.path() + "/a");
    std::ofstream(path) << "a file where the directory should be";

    CHECK_THROWS_MATCHES(LocalLock(request()), Error, !HasCode(ErrorCode::lock_acquire));
}

TEST_CASE_METHOD(LockFixture, "a lock file is not opened through a link", "[lock][bug-52]")
{
    fs::create_directories(path);
    std::ofstream(directory / "victim") << "kept";
    fs::create_symlink(directory / "victim", path + "/demo-backup-1.lock");

    CHECK_THROWS_MATCHES(LocalLock(request()), Error, HasCode(ErrorCode::file_open));
    CHECK(read_text_file(directory / "victim") == "kept");
}

TEST_CASE_METHOD(LockFixture,
                 "a lock directory that root makes is there afterwards only for somebody else",
                 "[lock]")
{
    const test::OtherUser root(0);
    auto wanted = request();
    wanted.data_directory = GENERATE(as<std::string>{}, "", "/", "at home");
    const bool has_heir = wanted.data_directory == "at home";
    if (has_heir) {
        wanted.data_directory = directory / "not/there/yet";
    }

    {
        const LocalLock lock(wanted);
        CHECK(fs::exists(path + "/demo-backup-1.lock"));
    }

    CHECK(fs::exists(path) == has_heir);
    CHECK(fs::exists(directory / "a") == has_heir);
}

TEST_CASE_METHOD(LockFixture, "a lock directory of another user is refused", "[lock]")
{
    const auto is_refused = HasCode(ErrorCode::path_open);
    const test::OtherUser other;
    CHECK_NOTHROW(engine::check_stop_file(path, "demo"));
    fs::create_directories(path);

    CHECK_THROWS_MATCHES(engine::check_stop_file(path, "demo"), Error, is_refused);
    CHECK_THROWS_MATCHES(LocalLock(request()), Error, is_refused);
    CHECK_THROWS_MATCHES(engine::create_stop_file(path, "demo"), Error, is_refused);
    CHECK(fs::is_empty(path));
}

TEST_CASE_METHOD(LockFixture, "what another user's lock file says is not believed", "[lock]")
{
    Holder holder(request());
    {
        const test::WarningLog log;
        const test::OtherUser other;
        CHECK(engine::terminate_lock_holders(path, "demo").empty());
        CHECK_THAT(log.text(), Catch::Contains("is another user's"));
    }
    CHECK(::kill(holder.pid(), 0) == 0);
    const test::OtherUser root(0);

    CHECK(engine::terminate_lock_holders(path, "demo") == std::vector<std::int64_t>{holder.pid()});
}

TEST_CASE_METHOD(LockFixture, "a lock directory that root finds stays", "[lock]")
{
    const test::OtherUser root(0);
    fs::create_directories(path);

    static_cast<void>(LocalLock(request()));

    CHECK(fs::exists(path));
}

TEST_CASE_METHOD(LockFixture, "what a killed process left behind is no lock", "[lock][bug-46]")
{
    Holder holder(request());
    CHECK(status()->pid == holder.pid());
    ::kill(holder.pid(), SIGKILL);
    holder.wait();

    CHECK(fs::exists(path + "/demo-backup-1.lock"));
    CHECK_FALSE(status());
    const LocalLock lock(request());
    CHECK(body("demo-backup-1.lock")["pid"] == ::getpid());
}

TEST_CASE_METHOD(LockFixture, "progress is told in hundredths of a percent", "[lock]")
{
    LocalLock lock(request());
    CHECK(status()->pid == ::getpid());
    CHECK_FALSE(status()->size);
    CHECK_FALSE(status()->percent_hundredths);

    lock.update_progress(10'000'000, 1'234'000);

    CHECK(body("demo-backup-1.lock")["pctCplt"] == 1234);
    CHECK(body("demo-backup-1.lock")["sz"] == 10'000'000);
    CHECK(body("demo-backup-1.lock")["szCplt"] == 1'234'000);
    CHECK(status()->percent_hundredths == 1234);
    CHECK(status()->size == 10'000'000);
    CHECK(status()->size_done == 1'234'000);
}

TEST_CASE_METHOD(LockFixture, "progress is written when it moved by more than a tenth", "[lock]")
{
    LocalLock lock(request());
    lock.update_progress(10'000, 100);

    lock.update_progress(10'000, 110);
    CHECK(status()->size_done == 100);
    lock.update_progress(10'000, 111);
    CHECK(status()->size_done == 111);
    lock.update_progress(10'000, 9'995);
    lock.update_progress(10'000, 10'000);
    CHECK(status()->percent_hundredths == 10'000);
    lock.update_progress(0, 0);
    CHECK(status()->percent_hundredths == 10'000);
}

TEST_CASE_METHOD(LockFixture, "only one of many gets a lock that comes and goes", "[lock][bug-46]")
{
    std::atomic<int> holders = 0;
    std::atomic<int> wrong = 0;
    std::atomic<int> rounds = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int j = 0; j < 50; ++j) {
                try {
                    const LocalLock lock(request());
                    wrong += ++holders == 1 ? 0 : 1;
                    wrong += fs::exists(path + "/demo-backup-1.lock") ? 0 : 1;
                    std::this_thread::yield();
                    --holders;
                    ++rounds;
                } catch (const Error& error) {
                    wrong += error.code() == ErrorCode::lock_acquire ? 0 : 1;
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }

    CHECK(wrong == 0);
    CHECK(rounds > 0);
    CHECK(fs::is_empty(path));
}

TEST_CASE_METHOD(LockFixture, "a lock file with nonsense is held all the same", "[lock][bug-54]")
{
    const auto text = GENERATE(as<std::string>{},
                               "",
                               "{",
                               "[1]",
                               R"({"pid":"x","sz":-1,"pctCplt":1.5})",
                               R"({"pid":99999999999999})");
    const Holder holder(request());
    std::ofstream(path + "/demo-backup-1.lock") << text;

    REQUIRE(status());
    CHECK(status()->pid == 0);
    CHECK_FALSE(status()->size);
}

TEST_CASE_METHOD(LockFixture, "a stop file stops its stanza, and one for all stops all", "[lock]")
{
    CHECK_NOTHROW(engine::check_stop_file(path, "demo"));
    CHECK_FALSE(engine::remove_stop_file(path, "demo"));

    CHECK(engine::create_stop_file(path, "demo"));
    CHECK_FALSE(engine::create_stop_file(path, "demo"));
    CHECK(fs::exists(path + "/demo.stop"));
    CHECK_THROWS_MATCHES(engine::check_stop_file(path, "demo"), Error, HasCode(ErrorCode::stop));
    CHECK_NOTHROW(engine::check_stop_file(path, "other"));

    CHECK(engine::create_stop_file(path, ""));
    CHECK(fs::exists(path + "/all.stop"));
    CHECK_THROWS_MATCHES(engine::check_stop_file(path, "other"), Error, HasCode(ErrorCode::stop));

    CHECK(engine::remove_stop_file(path, ""));
    CHECK(engine::remove_stop_file(path, "demo"));
    CHECK_NOTHROW(engine::check_stop_file(path, "demo"));
}

TEST_CASE_METHOD(LockFixture,
                 "holders of a stanza's locks are terminated, others are not",
                 "[lock]")
{
    Holder mine(request({LockType::backup, LockType::archive}, {1, 2}));
    auto other_request = request();
    other_request.stanza = "demo-backup";
    const Holder other(other_request);
    std::ofstream(path + "/demo-restore-1.lock") << R"({"pid":1})";

    CHECK(engine::terminate_lock_holders(path, "demo") == std::vector<std::int64_t>{mine.pid()});

    CHECK(mine.wait() == SIGTERM);
    CHECK(::kill(other.pid(), 0) == 0);
    CHECK_FALSE(fs::exists(path + "/demo-restore-1.lock"));
    CHECK(engine::terminate_lock_holders(path, "") == std::vector<std::int64_t>{other.pid()});
}

TEST_CASE("lock files are told by their names", "[lock][bug-5]")
{
    CHECK(engine::is_lock_file_of("demo-backup-1.lock", "demo"));
    CHECK(engine::is_lock_file_of("demo-backup-1.lock", ""));
    CHECK(engine::is_lock_file_of("a-backup-archive-12.lock", "a-backup"));
    CHECK_FALSE(engine::is_lock_file_of("a-backup-archive-12.lock", "a"));
    for (const auto* name : {"demo-backup-.lock",
                             "demo-backup-1x.lock",
                             "demo-other-1.lock",
                             "demo-backup-1.lock.tmp",
                             "-backup-1.lock",
                             "1.lock",
                             ".lock"}) {
        CAPTURE(name);
        CHECK_FALSE(engine::is_lock_file_of(name, ""));
    }
}

TEST_CASE("a stanza that is no file name is refused", "[lock][bug-52]")
{
    const auto stanza = GENERATE(as<std::string>{}, "../x", "a/b", "..");
    const test::TemporaryDirectory directory;

    CHECK_THROWS_MATCHES(LocalLock({.lock_path = directory.path(),
                                    .stanza = stanza,
                                    .types = {LockType::backup},
                                    .repo_keys = {1}}),
                         Error,
                         HasCode(ErrorCode::parameter_invalid));
    CHECK_THROWS_MATCHES(engine::create_stop_file(directory.path(), stanza),
                         Error,
                         HasCode(ErrorCode::parameter_invalid));
}

TEST_CASE_METHOD(LockFixture,
                 "a lock that another process holds is waited for",
                 "[lock][lock-wait]")
{
    auto holder = std::make_unique<Holder>(request());
    auto waiting = request({LockType::archive, LockType::backup});
    waiting.wait_milliseconds = 30'000;
    std::atomic<bool> has_lock = false;
    std::thread waiter([&] {
        const LocalLock lock(waiting);
        has_lock = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    CHECK_FALSE(has_lock);
    // What it could have is not kept from others meanwhile.
    CHECK_FALSE(engine::read_lock(path, "demo", LockType::archive, 1).has_value());

    holder.reset();
    waiter.join();

    CHECK(has_lock);
}

TEST_CASE_METHOD(LockFixture, "the wait for a lock has an end", "[lock][lock-wait]")
{
    const Holder holder(request());
    auto waiting = request();
    waiting.wait_milliseconds = 400;
    const auto begin = std::chrono::steady_clock::now();

    CHECK_THROWS_MATCHES(LocalLock(waiting), Error, HasCode(ErrorCode::lock_acquire));

    const auto waited = std::chrono::steady_clock::now() - begin;
    CHECK(waited >= std::chrono::milliseconds(400));
    CHECK(waited < std::chrono::seconds(10));
}

TEST_CASE_METHOD(LockFixture, "a signal ends the wait for a lock", "[lock][lock-wait]")
{
    const Holder holder(request());
    auto waiting = request();
    waiting.wait_milliseconds = 60'000;
    std::thread sender([] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        set_pending_signal(SIGTERM);
    });

    CHECK_THROWS_MATCHES(LocalLock(waiting), Error, HasCode(ErrorCode::terminated));

    sender.join();
    set_pending_signal(0);
}

TEST_CASE("only a lock is waited for", "[lock][lock-wait]")
{
    unsigned attempts = 0;
    const auto attempt = [&] {
        ++attempts;
        raise(attempts < 3 ? ErrorCode::lock_acquire : ErrorCode::file_open, "attempt");
    };

    CHECK_THROWS_MATCHES(
        engine::wait_for_lock(10'000, 1, attempt), Error, HasCode(ErrorCode::file_open));

    CHECK(attempts == 3);
}
