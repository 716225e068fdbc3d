// SPDX-License-Identifier: PostgreSQL
#include "support/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace pgstrata::test {

namespace {

using namespace std::chrono_literals;

int open_capture()
{
    const int fd = ::memfd_create("output", MFD_CLOEXEC);
    if (fd < 0) {
        throw std::system_error(errno, std::generic_category(), "memfd_create");
    }
    return fd;
}

int open_output_file(const std::string& path)
{
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        throw std::system_error(errno, std::generic_category(), "open " + path);
    }
    return fd;
}

std::string read_capture(int fd)
{
    std::string text;
    std::array<char, 65536> chunk{};
    ssize_t size = 0;
    while ((size = ::pread(fd, chunk.data(), chunk.size(), static_cast<off_t>(text.size()))) > 0) {
        text.append(chunk.data(), static_cast<std::size_t>(size));
    }
    return text;
}

std::vector<std::string> child_environment(const std::map<std::string, std::string>& added)
{
    std::vector<std::string> result;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        if (!std::string_view(*entry).starts_with("PG")) {
            result.emplace_back(*entry);
        }
    }
    for (const auto& [name, value] : added) {
        result.push_back(name + "=" + value);
    }
    return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts)
{
    std::vector<char*> result;
    result.reserve(texts.size() + 1);
    for (auto& text : texts) {
        result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
}

std::string command_line(const Arguments& arguments)
{
    std::string text;
    for (const auto& argument : arguments) {
        text += (text.empty() ? "" : " ") + argument;
    }
    return text;
}

} // namespace

BackgroundProcess::BackgroundProcess(Arguments arguments, ProcessOptions options)
    : arguments_(std::move(arguments)), options_(std::move(options))
{
    if (options_.output_file.empty()) {
        out_ = open_capture();
        err_ = open_capture();
    } else {
        out_ = open_output_file(options_.output_file);
        err_ = ::dup(out_);
    }
    auto environment = child_environment(options_.environment);
    const auto environment_pointers = pointers(environment);
    const auto argument_pointers = pointers(arguments_);

    // A signal for the child must not find the handlers of the test framework in it.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    pid_ = ::fork();
    if (pid_ == 0) {
        for (int number = 1; number < NSIG; ++number) {
            ::signal(number, SIG_DFL);
        }
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, options_.death_signal);
        const int nothing = ::open("/dev/null", O_RDONLY);
        ::dup2(nothing, STDIN_FILENO);
        ::dup2(out_, STDOUT_FILENO);
        ::dup2(err_, STDERR_FILENO);
        if (!options_.directory.empty() && ::chdir(options_.directory.c_str()) != 0) {
            ::_exit(126);
        }
        ::execve(argument_pointers.front(), argument_pointers.data(), environment_pointers.data());
        ::_exit(127);
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (pid_ < 0) {
        throw std::system_error(errno, std::generic_category(), "fork");
    }
    ::setpgid(pid_, pid_); // here too, so that the group is there whoever comes first
}

BackgroundProcess::~BackgroundProcess()
{
    kill_and_reap();
    ::close(out_);
    ::close(err_);
}

void BackgroundProcess::kill_and_reap()
{
    if (!is_over_) {
        ::kill(-pid_, SIGKILL);
        ::waitpid(pid_, &wait_status_, 0);
        is_over_ = true;
    }
}

bool BackgroundProcess::is_running()
{
    if (!is_over_ && ::waitpid(pid_, &wait_status_, WNOHANG) == pid_) {
        is_over_ = true;
    }
    return !is_over_;
}

void BackgroundProcess::signal(int number) const
{
    if (!is_over_) {
        ::kill(pid_, number);
    }
}

ProcessResult BackgroundProcess::result() const
{
    const int status =
        WIFSIGNALED(wait_status_) ? 128 + WTERMSIG(wait_status_) : WEXITSTATUS(wait_status_);
    if (!options_.output_file.empty()) {
        return {.status = status, .out = {}, .err = {}};
    }
    return {.status = status, .out = read_capture(out_), .err = read_capture(err_)};
}

ProcessResult BackgroundProcess::wait()
{
    const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
    while (is_running()) {
        if (std::chrono::steady_clock::now() > deadline) {
            kill_and_reap();
            throw std::runtime_error("timed out: " + command_line(arguments_) + "\n" +
                                     result().text());
        }
        std::this_thread::sleep_for(3ms);
    }
    return result();
}

ProcessResult run_process(const Arguments& arguments, const ProcessOptions& options)
{
    return BackgroundProcess(arguments, options).wait();
}

ProcessResult run_or_throw(const Arguments& arguments, const ProcessOptions& options)
{
    auto result = run_process(arguments, options);
    if (result.status != 0) {
        throw std::runtime_error(command_line(arguments) + " ended with " +
                                 std::to_string(result.status) + "\n" + result.text());
    }
    return result;
}

void wait_until(std::string_view what,
                const std::function<bool()>& is_true,
                std::chrono::milliseconds limit)
{
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!is_true()) {
        if (std::chrono::steady_clock::now() > deadline) {
            throw std::runtime_error("waited in vain for: " + std::string(what));
        }
        std::this_thread::sleep_for(10ms);
    }
}

} // namespace pgstrata::test
