// SPDX-License-Identifier: PostgreSQL
#include "support/temporary_directory.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <regex>
#include <sstream>
#include <thread>
#include <vector>

using namespace pgstrata;
using log::Level;

namespace {

// Leads a descriptor of the process into a file for as long as it lives.
class Capture {
public:
    Capture(int fd, std::string path) : fd_(fd), saved_(::dup(fd)), path_(std::move(path))
    {
        const auto file = open_file(path_, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND);
        ::dup2(file.get(), fd_);
    }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    ~Capture() { ::dup2(saved_.get(), fd_); }
    std::string text() const { return read_text_file(path_); }

private:
    int fd_;
    FileDescriptor saved_;
    std::string path_;
};

struct Fixture {
    Fixture() : output(STDOUT_FILENO, directory / "out"), error(STDERR_FILENO, directory / "err") {}
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;
    ~Fixture()
    {
        log::configure({});
        log::open_file("");
        log::set_process_number(0);
    }

    test::TemporaryDirectory directory;
    Capture output;
    Capture error;
};

bool matches(const std::string& text, const std::string& pattern)
{
    return std::regex_match(text, std::regex(pattern));
}

} // namespace

TEST_CASE_METHOD(Fixture, "a console line has time, process, aligned level and text", "[log]")
{
    log::configure({.console = Level::detail});

    log::info("backup {} of {}", 1, "demo");

    CHECK(matches(output.text(),
                  R"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} P00   INFO: backup 1 of demo\n)"));
    CHECK(error.text().empty());
}

TEST_CASE_METHOD(Fixture, "levels are right-aligned and details indented", "[log]")
{
    log::configure({.console = Level::trace, .timestamp = false});

    log::write(Level::error, "a");
    log::write(Level::warn, "b");
    log::write(Level::detail, "c");
    log::write(Level::debug, "d");
    log::write(Level::trace, "e");

    CHECK(output.text() == "P00  ERROR: a\n"
                           "P00   WARN: b\n"
                           "P00 DETAIL: c\n"
                           "P00  DEBUG:     d\n"
                           "P00  TRACE:         e\n");
}

TEST_CASE_METHOD(Fixture, "an error shows its code in three digits and its hint below", "[log]")
{
    log::configure({.timestamp = false});

    log::write_error(
        82, "segment was not archived", "check archive_command\nlook at the server log");

    CHECK(output.text() == "P00  ERROR: [082]: segment was not archived\n"
                           "            HINT: check archive_command\n"
                           "            look at the server log\n");
}

TEST_CASE_METHOD(Fixture, "what reaches the stderr level goes to stderr only", "[log]")
{
    log::configure({.console = Level::info, .standard_error = Level::warn, .timestamp = false});

    log::write_error(50, "lock is held", "wait");
    log::warn("watch out");
    log::info("fine");
    log::detail("hidden");

    CHECK(error.text() == "ERROR: [050]: lock is held\n       HINT: wait\nWARN: watch out\n");
    CHECK(output.text() == "P00   INFO: fine\n");
}

TEST_CASE_METHOD(Fixture, "the console can be standard error", "[log]")
{
    log::configure({.timestamp = false, .console_stream = log::ConsoleStream::standard_error});

    log::warn("kept apart from the product");

    CHECK(output.text().empty());
    CHECK(error.text() == "P00   WARN: kept apart from the product\n");
}

TEST_CASE_METHOD(Fixture, "a dry run and the worker's number are shown", "[log]")
{
    log::configure(
        {.console = Level::info, .timestamp = false, .dry_run = true, .process_digits = 3});

    std::thread([] {
        log::set_process_number(7);
        log::info("remove");
    }).join();
    log::info("done");

    CHECK(output.text() == "P007   INFO: [DRY-RUN] remove\nP000   INFO: [DRY-RUN] done\n");
}

TEST_CASE_METHOD(Fixture, "each start of the log file is marked by a banner", "[log]")
{
    const std::string path = directory / "demo-backup.log";
    const std::string banner = "-------------------PROCESS START-------------------\n";
    log::configure({.console = Level::off, .file = Level::info, .timestamp = false});

    log::open_file(path);
    log::info("first");
    log::detail("hidden");
    log::open_file(path);
    log::info("second");

    CHECK(read_text_file(path) ==
          banner + "P00   INFO: first\n\n" + banner + "P00   INFO: second\n");
    CHECK(output.text().empty());
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0640);
}

TEST_CASE_METHOD(Fixture, "a log file that cannot be opened is one warning", "[log]")
{
    log::configure({.file = Level::info, .timestamp = false});

    log::open_file(directory / "missing/demo.log");
    log::warn("goes on");

    CHECK_THAT(output.text(), Catch::StartsWith("P00   WARN: unable to open '"));
    CHECK_THAT(output.text(), Catch::EndsWith("\nP00   WARN: goes on\n"));
}

TEST_CASE_METHOD(Fixture, "a log file is not written through a link", "[log]")
{
    log::configure({.file = Level::info, .timestamp = false});
    REQUIRE(::symlink((directory / "victim").c_str(), (directory / "demo.log").c_str()) == 0);

    log::open_file(directory / "demo.log");

    CHECK_THAT(output.text(), Catch::StartsWith("P00   WARN: unable to open '"));
    CHECK(::access((directory / "victim").c_str(), F_OK) != 0);
}

TEST_CASE_METHOD(Fixture, "a log file that cannot be written is one warning", "[log][bug-45]")
{
    log::configure({.console = Level::warn, .file = Level::info, .timestamp = false});

    log::open_file("/dev/full");
    log::info("first");
    log::info("second");

    CHECK_THAT(output.text(),
               Catch::StartsWith("P00   WARN: unable to write '/dev/full': [28] ") &&
                   Catch::EndsWith("the command goes on, but its log file is not complete.\n"));
    CHECK(std::ranges::count(output.text(), '\n') == 2);
}

TEST_CASE_METHOD(Fixture, "a log file at level off is not made", "[log]")
{
    log::configure({});

    log::open_file(directory / "demo.log");

    CHECK(::access((directory / "demo.log").c_str(), F_OK) != 0);
}

TEST_CASE_METHOD(Fixture, "a level is enabled when some place takes it", "[log]")
{
    log::configure({.console = Level::warn, .file = Level::debug});
    CHECK_FALSE(log::is_enabled(Level::info));

    log::open_file(directory / "demo.log");
    CHECK(log::is_enabled(Level::debug));
    CHECK_FALSE(log::is_enabled(Level::trace));

    log::configure({.console = Level::off});
    CHECK_FALSE(log::is_enabled(Level::error));
    CHECK_FALSE(log::is_enabled(Level::off));
}

TEST_CASE("level names are read and written", "[log]")
{
    const auto level = GENERATE(Level::off,
                                Level::error,
                                Level::warn,
                                Level::info,
                                Level::detail,
                                Level::debug,
                                Level::trace);

    CHECK(log::parse_level(log::level_name(level)) == level);
    CHECK_FALSE(log::parse_level("INFO"));
    CHECK_FALSE(log::parse_level(""));
}

TEST_CASE_METHOD(Fixture, "lines of many threads stay whole", "[log]")
{
    log::configure({.console = Level::info, .timestamp = false});
    std::vector<std::thread> threads;
    for (unsigned number = 1; number <= 4; ++number) {
        threads.emplace_back([number] {
            log::set_process_number(number);
            for (int i = 0; i < 200; ++i) {
                log::info("{}", std::string(100, static_cast<char>('a' + number)));
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }

    std::istringstream lines(output.text());
    for (std::string line; std::getline(lines, line);) {
        REQUIRE(line.size() == 12 + 100);
        const auto letter = static_cast<char>('a' + line.at(2) - '0');
        REQUIRE(line == fmt::format("P0{}   INFO: {}", line.at(2), std::string(100, letter)));
    }
    CHECK(output.text().size() == 4 * 200 * (12 + 100 + 1));
}

TEST_CASE_METHOD(Fixture, "signals in the middle of logging do not block it", "[log][bug-57]")
{
    std::array<int, 2> ready{};
    REQUIRE(::pipe(ready.data()) == 0);
    const FileDescriptor begin(ready[0]);
    const FileDescriptor end(ready[1]);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        install_signal_handlers();
        log::configure({.console = Level::info});
        const char byte = 1;
        for (auto sent = ::write(end.get(), &byte, 1); sent == 1 && pending_signal() != SIGTERM;) {
            log::info("busy");
        }
        ::_exit(pending_signal() == SIGTERM ? 0 : 1);
    }
    char byte = 0;
    REQUIRE(::read(begin.get(), &byte, 1) == 1);
    for (int i = 0; i < 50; ++i) {
        ::usleep(1000);
        ::kill(child, SIGHUP);
    }
    // More than once, since a hangup that is still on its way may be noted after it.
    int status = -1;
    pid_t ended = 0;
    for (int i = 0; i < 1000 && ended == 0; ++i) {
        ::kill(child, SIGTERM);
        ::usleep(10'000);
        ended = ::waitpid(child, &status, WNOHANG);
    }
    if (ended == 0) {
        ::kill(child, SIGKILL);
        ::waitpid(child, &status, 0);
    }

    CHECK(ended == child);
    CHECK(status == 0);
}

TEST_CASE("what is quoted from outside does not command the terminal", "[log]")
{
    Fixture fixture;
    log::configure({.console = Level::warn, .file = Level::warn, .timestamp = false});
    log::open_file(fixture.directory / "log");

    log::warn("label '{}'", "\x1b[2J\r\x80");
    log::write_error(29, "line '\x07'", "hint '\x1b'");

    const std::string expected = "P00   WARN: label '\\x1B[2J\\x0D\\x80'\n"
                                 "P00  ERROR: [029]: line '\\x07'\n"
                                 "            HINT: hint '\\x1B'\n";
    CHECK(fixture.output.text() == expected);
    CHECK_THAT(read_text_file(fixture.directory / "log"), Catch::EndsWith(expected));
}
