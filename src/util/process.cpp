// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/process.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/hex.hpp"

#include <fcntl.h>
#include <grp.h>
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

namespace pgstrata {

namespace {

constexpr std::size_t kOutputLimit = 65536;

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

// A child whose standard output is the returned descriptor.
std::pair<pid_t, FileDescriptor> spawn(std::vector<std::string> arguments,
                                       std::vector<std::string> environment)
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        raise_errno(ErrorCode::execute, errno, "make a pipe");
    }
    FileDescriptor reader(ends[0]);
    const FileDescriptor writer(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    pid_t child = 0;
    const int failure = ::posix_spawnp(&child,
                                       arguments.front().c_str(),
                                       &actions,
                                       nullptr,
                                       pointers_to(arguments).data(),
                                       pointers_to(environment).data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) {
        raise_errno(ErrorCode::execute, failure, fmt::format("start '{}'", arguments.front()));
    }
    return {child, std::move(reader)};
}

int wait_for(pid_t child)
{
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            raise_errno(ErrorCode::execute, errno, "wait for a command");
        }
    }
    return status;
}

std::string output_of(std::pair<pid_t, FileDescriptor> process)
{
    auto& [child, reader] = process;
    std::string output(kOutputLimit + 1, '\0');
    const std::size_t size = read_fully(
        reader.get(), std::as_writable_bytes(std::span(output.data(), output.size())), "a command");
    reader = FileDescriptor();
    const int status = wait_for(child);
    // The command itself may hold a secret: it is not repeated in the error.
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        raise(ErrorCode::execute,
              "the command ended with status {}",
              WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    if (size > kOutputLimit) {
        raise(ErrorCode::execute, "the command printed more than {} bytes", kOutputLimit);
    }
    output.resize(size);
    return output;
}

} // namespace

std::string run_shell(const std::string& command)
{
    return output_of(spawn({"/bin/sh", "-c", command}, environment_without({})));
}

std::string run_program(const std::vector<std::string>& arguments,
                        const std::vector<std::string>& hidden)
{
    return output_of(spawn(arguments, environment_without(hidden)));
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
