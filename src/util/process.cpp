// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/process.hpp"

#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/hex.hpp"
#include "pgstrata/util/non_copyable.hpp"
#include "pgstrata/util/time.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <optional>

namespace pgstrata {

namespace {

constexpr std::size_t kOutputLimit = 65536;

std::optional<mode_t> former_umask; // before clear_umask()

std::vector<char*> pointers_to(std::vector<std::string>& texts)
{
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (std::string& text : texts) {
        pointers.push_back(text.data());
    }
    pointers.push_back(nullptr);
    return pointers;
}

std::vector<std::string> environment_without(const std::vector<std::string>& hidden)
{
    std::vector<std::string> kept;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        if (std::ranges::none_of(hidden,
                                 [&](const auto& part) { return text.starts_with(part); })) {
            kept.emplace_back(text);
        }
    }
    return kept;
}

// posix_spawn(3) sets no umask, and ours, were it set meanwhile, would reach what other threads
// make.
std::vector<std::string> with_former_umask(const std::vector<std::string>& arguments)
{
    if (!former_umask) {
        return arguments;
    }
    std::vector<std::string> wrapped = {
        "/bin/sh", "-c", fmt::format("umask {:04o} && exec \"$@\"", *former_umask), "sh"};
    wrapped.insert(wrapped.end(), arguments.begin(), arguments.end());
    return wrapped;
}

// A running command. One that has not ended when this does is killed with all that it has started,
// and not waited for, since the kernel may hold it.
class Command : NonCopyable {
public:
    Command(std::vector<std::string> arguments,
            std::vector<std::string> environment,
            std::uint64_t timeout)
        : timeout_(timeout), deadline_(monotonic_milliseconds() + timeout)
    {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
            raise_errno(ErrorCode::execute, errno, "make a pipe");
        }
        reader_ = FileDescriptor(ends[0]);
        const FileDescriptor writer(ends[1]);
        spawn(arguments, environment, writer.get());
    }
    ~Command()
    {
        if (!has_ended_) {
            ::kill(-child_, SIGKILL);
        }
    }

    // All that it prints, or more than the limit.
    std::string read()
    {
        std::string output(kOutputLimit + 1, '\0');
        std::size_t size = 0;
        while (size < output.size()) {
            // What it has printed before it ended is there to be read.
            const bool has_ended = look();
            if (!wait_for_output(has_ended ? 0 : kStep)) {
                if (has_ended) {
                    break;
                }
                continue;
            }
            const ssize_t count = ::read(reader_.get(), output.data() + size, output.size() - size);
            if (count < 0) {
                raise_errno(ErrorCode::file_read, errno, "read from a command");
            }
            if (count == 0) {
                break;
            }
            size += static_cast<std::size_t>(count);
        }
        output.resize(size);
        return output;
    }

    // As waitpid(2) tells it.
    int wait()
    {
        GrowingPause pause(1, kStep);
        while (!look()) {
            pause.sleep();
        }
        return status_;
    }

private:
    static constexpr unsigned kStep = 50;

    void spawn(std::vector<std::string>& arguments, std::vector<std::string>& environment, int out)
    {
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawnattr_t attributes;
        ::posix_spawnattr_init(&attributes);
        // Away from the terminal, a question there fails at once. What we ignore it does not.
        ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF);
        sigset_t ignored;
        ::sigemptyset(&ignored);
        ::sigaddset(&ignored, SIGPIPE);
        ::sigaddset(&ignored, SIGXFSZ);
        ::posix_spawnattr_setsigdefault(&attributes, &ignored);
        const int failure = ::posix_spawnp(&child_,
                                           arguments.front().c_str(),
                                           &actions,
                                           &attributes,
                                           pointers_to(arguments).data(),
                                           pointers_to(environment).data());
        ::posix_spawnattr_destroy(&attributes);
        ::posix_spawn_file_actions_destroy(&actions);
        if (failure != 0) {
            raise_errno(ErrorCode::execute, failure, fmt::format("start '{}'", arguments.front()));
        }
    }

    // Whether it has ended.
    bool look()
    {
        check_cancelled();
        const pid_t ended = has_ended_ ? child_ : ::waitpid(child_, &status_, WNOHANG);
        if (ended < 0) {
            raise_errno(ErrorCode::execute, errno, "wait for a command");
        }
        has_ended_ = ended == child_;
        if (!has_ended_ && monotonic_milliseconds() >= deadline_) {
            raise(ErrorCode::execute, "the command did not end within {} ms", timeout_);
        }
        return has_ended_;
    }

    // Whether there is something to read, if only the end.
    bool wait_for_output(unsigned milliseconds) const
    {
        pollfd waited{.fd = reader_.get(), .events = POLLIN, .revents = 0};
        return ::poll(&waited, 1, static_cast<int>(milliseconds)) > 0;
    }

    std::uint64_t timeout_;
    std::uint64_t deadline_;
    FileDescriptor reader_;
    pid_t child_ = 0;
    int status_ = 0;
    bool has_ended_ = false;
};

std::string output_of(Command&& command)
{
    std::string output = command.read();
    if (output.size() > kOutputLimit) {
        raise(ErrorCode::execute, "the command printed more than {} bytes", kOutputLimit);
    }
    const int status = command.wait();
    // The command itself may hold a secret: it is not repeated in the error.
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        raise(ErrorCode::execute,
              "the command ended with status {}",
              WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    return output;
}

} // namespace

std::string run_shell(const std::string& command, std::uint64_t timeout_milliseconds)
{
    return run_program({"/bin/sh", "-c", command}, timeout_milliseconds);
}

std::string run_program(const std::vector<std::string>& arguments,
                        std::uint64_t timeout_milliseconds,
                        const std::vector<std::string>& hidden)
{
    return output_of(
        Command(with_former_umask(arguments), environment_without(hidden), timeout_milliseconds));
}

void clear_umask() noexcept
{
    former_umask = ::umask(0);
}

void restore_umask() noexcept
{
    if (former_umask) {
        ::umask(*former_umask);
    }
}

bool is_process_alive(std::int64_t pid)
{
    return pid > 0 && pid <= INT_MAX && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
}

std::uint64_t process_start_ticks(std::int64_t pid)
{
    // Field 22 of stat(5), counted from behind the name, which may hold spaces and parentheses.
    constexpr int kFieldsBehindName = 20;
    std::string text;
    try {
        text = read_text_file(fmt::format("/proc/{}/stat", pid), 4096);
    } catch (const Error&) {
        return 0;
    }
    std::size_t at = text.rfind(')');
    for (int field = 0; field < kFieldsBehindName && at != std::string::npos; ++field) {
        at = text.find(' ', at + 1);
    }
    return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at, nullptr, 10);
}

std::string host_name()
{
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

std::string boot_id()
{
    try {
        std::string id = read_text_file("/proc/sys/kernel/random/boot_id", 128);
        while (!id.empty() && id.back() == '\n') {
            id.pop_back();
        }
        return id;
    } catch (const Error&) {
        return {};
    }
}

std::uint64_t pid_namespace()
{
    struct stat info {};
    return ::stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

std::string user_name(std::uint32_t uid)
{
    std::array<char, 4096> memory{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(uid, &entry, memory.data(), memory.size(), &found) == 0 && found != nullptr) {
        return found->pw_name;
    }
    return std::to_string(uid);
}

std::string group_name(std::uint32_t gid)
{
    std::array<char, 16384> memory{};
    group entry{};
    group* found = nullptr;
    if (::getgrgid_r(gid, &entry, memory.data(), memory.size(), &found) == 0 && found != nullptr) {
        return found->gr_name;
    }
    return std::to_string(gid);
}

std::string random_tag()
{
    std::array<std::byte, 4> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        raise_errno(ErrorCode::kernel, errno, "get random bytes");
    }
    return to_hex(bytes);
}

std::string program_path()
{
    std::array<char, PATH_MAX> path{};
    const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
    return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : "pgstrata";
}

} // namespace pgstrata
