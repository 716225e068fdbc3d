// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/hex.hpp"
#include "pgstrata/util/process.hpp"
#include "pgstrata/util/time.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <limits>
#include <sstream>
#include <thread>

using namespace pgstrata;
using pgstrata::test::HasCode;

namespace {

constexpr std::uint64_t kLimit = 60000;

// One that nobody has waited for has ended as well.
bool ends_soon(pid_t pid)
{
    constexpr int kLooks = 1000;
    for (int look = 0; look < kLooks; ++look) {
        try {
            const std::string state = read_text_file(fmt::format("/proc/{}/stat", pid), 4096);
            if (state.find(") Z ") != std::string::npos) {
                return true;
            }
        } catch (const Error&) {
            return true;
        }
        sleep_milliseconds(10);
    }
    return false;
}

} // namespace

TEST_CASE("the output of a command is returned as it is", "[util][process]")
{
    CHECK(run_shell("echo one; echo two", kLimit) == "one\ntwo\n");
    CHECK(run_shell("true", kLimit).empty());
    CHECK(run_shell("printf 'a\\000b'", kLimit) == std::string("a\0b", 3));
}

TEST_CASE("a command reads nothing from our standard input", "[util][process]")
{
    CHECK(run_shell("cat", kLimit).empty());
}

TEST_CASE("a command that fails is an error that does not repeat the command",
          "[util][process][bug-53]")
{
    const std::string command = GENERATE("echo canary-secret; exit 3",
                                         "canary-secret-is-no-command 2>/dev/null",
                                         "kill -9 $$ # canary-secret");
    CAPTURE(command);
    try {
        run_shell(command, kLimit);
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::execute);
        CHECK(std::string(error.what()).find("canary-secret") == std::string::npos);
    }
}

TEST_CASE("the output of a command has a limit", "[util][process][bug-54]")
{
    CHECK(run_shell("head -c 65536 /dev/zero", kLimit).size() == 65536);
    CHECK_THROWS_MATCHES(
        run_shell("head -c 65537 /dev/zero", kLimit), Error, HasCode(ErrorCode::execute));
    // One that never stops is killed.
    CHECK_THROWS_MATCHES(run_shell("yes", kLimit), Error, HasCode(ErrorCode::execute));
}

TEST_CASE("a command that takes too long is killed with all that it has started",
          "[util][process][bug-57]")
{
    const test::TemporaryDirectory directory;
    const std::string pids = directory / "pids";
    const std::string command = GENERATE("sleep 100", "sleep 100; true", "exec >&-; sleep 100");
    CAPTURE(command);
    const std::uint64_t began = monotonic_milliseconds();

    CHECK_THROWS_MATCHES(run_shell("sleep 100 & echo $! $$ >" + pids + "; " + command, 200),
                         Error,
                         HasCode(ErrorCode::execute));

    CHECK(monotonic_milliseconds() - began < 10000);
    std::istringstream started(read_text_file(pids));
    for (pid_t pid = 0; started >> pid;) {
        CHECK(ends_soon(pid));
    }
}

TEST_CASE("a command ends with the process that waits for it", "[util][process][bug-57]")
{
    const std::uint64_t began = monotonic_milliseconds();
    const std::jthread sender([] {
        sleep_milliseconds(100);
        set_pending_signal(SIGTERM);
    });

    CHECK_THROWS_MATCHES(run_shell("sleep 100", kLimit), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);

    CHECK(monotonic_milliseconds() - began < 10000);
}

TEST_CASE("what a command leaves in the background is not waited for", "[util][process]")
{
    const std::uint64_t began = monotonic_milliseconds();

    CHECK(run_shell("echo one; sleep 15 & echo two", kLimit) == "one\ntwo\n");

    CHECK(monotonic_milliseconds() - began < 10000);
}

TEST_CASE("a command ignores no signal that we ignore", "[util][process]")
{
    install_signal_handlers();

    for (const auto* signal : {"PIPE", "XFSZ"}) {
        CAPTURE(signal);
        CHECK_THROWS_MATCHES(run_shell(fmt::format("kill -{} $$; true", signal), kLimit),
                             Error,
                             HasCode(ErrorCode::execute));
    }
}

TEST_CASE("a command has the umask that this process had", "[util][process]")
{
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::umask(027);
        clear_umask();
        const bool is_former =
            run_shell("umask", kLimit) == "0027\n" &&
            run_program({"sh", "-c", "umask; echo $1", "sh", "a b"}, kLimit) == "0027\na b\n";
        const bool is_clear = ::umask(0) == 0;
        restore_umask();
        ::_exit(is_former && is_clear && ::umask(0) == 027 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("a process is told from one that ended", "[util][process][bug-46]")
{
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::_exit(0);
    }
    REQUIRE(::waitpid(child, nullptr, 0) == child);

    CHECK(is_process_alive(::getpid()));
    CHECK(is_process_alive(1));
    CHECK_FALSE(is_process_alive(child));
    CHECK_FALSE(is_process_alive(0));
    CHECK_FALSE(is_process_alive(-1));
    CHECK_FALSE(is_process_alive(std::numeric_limits<std::int64_t>::max()));
}

TEST_CASE("the beginning of a process stays the same and is not there without one",
          "[util][process][bug-46]")
{
    const std::uint64_t mine = process_start_ticks(::getpid());
    CHECK(mine != 0);
    CHECK(process_start_ticks(::getpid()) == mine);
    CHECK(process_start_ticks(::getppid()) <= mine);
    CHECK(process_start_ticks(std::numeric_limits<std::int64_t>::max()) == 0);
}

TEST_CASE("users and groups without a name are numbers", "[util][process]")
{
    CHECK(user_name(0) == "root");
    CHECK(group_name(0) == "root");
    CHECK(user_name(3999999999) == "3999999999");
    CHECK(group_name(3999999999) == "3999999999");
}

TEST_CASE("random tags are eight hex digits and differ", "[util][process]")
{
    const std::string tag = random_tag();
    CHECK(tag.size() == 8);
    CHECK(is_hex(tag));
    CHECK(random_tag() + random_tag() != tag + tag);
}

TEST_CASE("the host tells its name and its boot", "[util][process]")
{
    CHECK_FALSE(host_name().empty());
    CHECK(boot_id() == boot_id());
    CHECK(boot_id().find('\n') == std::string::npos);
    CHECK(std::filesystem::read_symlink("/proc/self/ns/pid") ==
          fmt::format("pid:[{}]", pid_namespace()));
    CHECK(program_path().find("unit-util") != std::string::npos);
}

TEST_CASE("a program runs without a shell and without what is hidden from it", "[util][process]")
{
    ::setenv("PGSTRATA_TEST_SECRET", "canary", 1);
    ::setenv("OTHER_TEST_VALUE", "seen", 1);

    CHECK(run_program({"printf", "%s", "$HOME; a  b"}, kLimit) == "$HOME; a  b");
    CHECK_THAT(run_program({"env"}, kLimit), Catch::Contains("canary"));
    const std::string environment = run_program({"env"}, kLimit, {"PGSTRATA_", "PGBACKREST_"});
    CHECK_THAT(environment, !Catch::Contains("canary"));
    CHECK_THAT(environment, Catch::Contains("OTHER_TEST_VALUE=seen"));

    CHECK_THROWS_MATCHES(run_program({"false"}, kLimit), Error, HasCode(ErrorCode::execute));
    CHECK_THROWS_MATCHES(
        run_program({"/nowhere/program"}, kLimit), Error, HasCode(ErrorCode::execute));
}
