// SPDX-License-Identifier: PostgreSQL
#include "command/background.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/hex.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace pgstrata::command {

namespace {

constexpr int kFirstInherited = 3;
constexpr int kMostInherited = 4096; // where the kernel is too old to tell

std::vector<std::string> command_line(const config::Config& config,
                                      const std::vector<std::string>& parameters)
{
    std::vector<std::string> words = {config.executable()};
    const auto& options = config.background_options();
    words.insert(words.end(), options.begin(), options.end());
    words.push_back(fmt::format("{}:async", config.command().name));
    words.insert(words.end(), parameters.begin(), parameters.end());
    return words;
}

// The server's own files, pipes and sockets must not be held open: it may be shut down and started
// again meanwhile.
void close_inherited_on_exec()
{
    if (::syscall(SYS_close_range, kFirstInherited, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        for (int fd = kFirstInherited; fd < kMostInherited; ++fd) {
            ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
    }
}

void leave_streams()
{
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        ::dup2(null, fd);
    }
}

// The grandchild, which nobody waits for. A failure is told through the pipe, which exec closes.
[[noreturn]] void become(const std::string& program, const std::vector<char*>& words, int pipe)
{
    leave_streams();
    close_inherited_on_exec();
    restore_umask();
    if (::chdir("/") == 0) {
        ::execv(program.c_str(), words.data());
    }
    const int failure = errno;
    const ssize_t told = ::write(pipe, &failure, sizeof failure);
    ::_exit(told == sizeof failure ? 0 : 1);
}

void reap(pid_t child)
{
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
}

} // namespace

void start_background(const config::Config& config, const std::vector<std::string>& parameters)
{
    std::vector<std::string> words = command_line(config, parameters);
    std::vector<char*> pointers;
    pointers.reserve(words.size() + 1);
    for (std::string& word : words) {
        pointers.push_back(word.data());
    }
    pointers.push_back(nullptr);
    const std::string program =
        config.text("cmd").starts_with('/') ? config.text("cmd") : config.executable();

    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        raise_errno(ErrorCode::execute, errno, "make a pipe");
    }
    const FileDescriptor reader(ends[0]);
    FileDescriptor writer(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) {
        raise_errno(ErrorCode::execute, errno, "start a process");
    }
    if (child == 0) {
        ::setsid();
        // Its child cannot get a terminal again, and is nobody's to wait for.
        if (::fork() == 0) {
            become(program, pointers, writer.get());
        }
        ::_exit(0);
    }
    writer = FileDescriptor();
    reap(child);
    int failure = 0;
    if (::read(reader.get(), &failure, sizeof failure) == sizeof failure) {
        raise_errno(ErrorCode::execute, failure, fmt::format("start '{}'", program));
    }
}

engine::LockRequest archive_lock(const config::Config& config)
{
    return {config.text("lock-path"),
            config.text("stanza"),
            {engine::LockType::archive},
            config.repo_indexes()};
}

GrowingPause background_pause() noexcept
{
    constexpr unsigned kFirst = 5;
    constexpr unsigned kLongest = 100;
    return {kFirst, kLongest};
}

void leave_error(const engine::Spool& spool, const Error& error)
{
    try {
        spool.write_error(engine::Spool::kGlobal, error);
    } catch (const Error& failure) {
        log::warn("nobody can be told of an error: {}", failure.what());
    }
}

std::int64_t background_process(const config::Config& config)
{
    for (const unsigned key : config.repo_indexes()) {
        const auto lock = engine::read_lock(
            config.text("lock-path"), config.text("stanza"), engine::LockType::archive, key);
        if (lock) {
            return lock->pid == 0 ? -1 : lock->pid;
        }
    }
    return 0;
}

std::string background_log(const config::Config& config)
{
    return join_path(config.text("log-path"),
                     fmt::format("{}-{}-async.log", config.text("stanza"), config.command().name));
}

std::string place_of(const config::Config& config, const std::vector<unsigned>& indexes)
{
    std::string places;
    for (const unsigned index : indexes) {
        places += fmt::format("{}", index);
        for (const char* option : {"repo-type",
                                   "repo-path",
                                   "repo-s3-bucket",
                                   "repo-s3-endpoint",
                                   "repo-storage-host",
                                   "repo-storage-port"}) {
            places += fmt::format("\n{}", config.text(option, index));
        }
        places += "\n\n";
    }
    // Whoever waits for a segment asks for this: no hash for which a library would have to be
    // loaded.
    return to_hex(codec::xxh3_128(as_bytes(places)));
}

} // namespace pgstrata::command
