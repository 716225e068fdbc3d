// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/commands.hpp"
#include "pgstrata/config/config.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"
#include "pgstrata/util/time.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <string_view>

// main() cannot be in a namespace. NOLINTNEXTLINE(google-build-using-namespace)
using namespace pgstrata;
using config::Config;

namespace {

constexpr int kMostWorkersOfTwoDigits = 99;
// PostgreSQL takes the statuses 1 to 125 of restore_command for "there is no such file", ends
// recovery and promotes. Only above 125 it stops, so every failure of archive-get adds this to its
// code; the log has the plain code.
constexpr int kArchiveGetFailure = 128;
// What a process in the background keeps of its free memory, each worker for itself, and the
// largest piece that is kept (the largest that glibc can keep).
constexpr int kKeptMemory = 64 << 20;
constexpr int kLargestKept = 32 << 20;

// A file that is opened while the standard output is closed gets its number, and with it all that
// is printed: a pack would be damaged by log lines. What fills the place cannot be written.
void fill_standard_descriptors()
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) == -1 && ::open("/dev/null", O_RDONLY | O_NOCTTY) != fd) {
            raise_errno(ErrorCode::file_open, errno, "open '/dev/null'");
        }
    }
}

log::Level level_of(const Config& config, std::string_view option)
{
    return log::parse_level(config.text(option)).value_or(log::Level::warn);
}

// Until the configuration is known: errors go to the standard error.
void configure_early_log()
{
    log::Settings settings;
    settings.console = log::Level::off;
    settings.standard_error = log::Level::warn;
    log::configure(settings);
}

void configure_log(const Config& config)
{
    log::Settings settings;
    settings.console = level_of(config, "log-level-console");
    settings.file = level_of(config, "log-level-file");
    settings.standard_error = level_of(config, "log-level-stderr");
    settings.timestamp = config.flag("log-timestamp");
    settings.dry_run = config.flag("dry-run");
    const bool prints_plan = config.command().id == config::Command::restore && settings.dry_run;
    settings.console_stream = config.command().stdout_is_product || prints_plan
                                  ? log::ConsoleStream::standard_error
                                  : log::ConsoleStream::standard_output;
    settings.process_digits = config.number("process-max") > kMostWorkersOfTwoDigits ? 3 : 2;
    log::configure(settings);
    const bool is_async = config.role() == config::Role::async;
    if (config.command().logs_to_file || is_async) {
        const std::string& stanza = config.text("stanza");
        log::open_file(join_path(config.text("log-path"),
                                 fmt::format("{}-{}{}.log",
                                             stanza.empty() ? "all" : stanza,
                                             config.command().name,
                                             is_async ? "-async" : "")));
    }
}

// One segment after the other passes through the same few buffers: given back to the system after
// each they would cost a page fault for every page of every segment.
void keep_freed_memory()
{
    ::mallopt(M_TRIM_THRESHOLD, kKeptMemory);
    ::mallopt(M_MMAP_THRESHOLD, kLargestKept);
}

void configure_process(const Config& config)
{
    install_signal_handlers();
    if (config.role() == config::Role::async) {
        keep_freed_memory();
    }
    if (config.has("neutral-umask") && config.flag("neutral-umask")) {
        clear_umask();
    }
    if (config.has("priority") &&
        ::setpriority(PRIO_PROCESS, 0, static_cast<int>(config.number("priority"))) != 0) {
        raise_errno(ErrorCode::kernel, errno, "set the priority of the process");
    }
    const auto has_cipher = [&](unsigned index) {
        return config.has("repo-cipher-type", index) &&
               config.text("repo-cipher-type", index) != "none";
    };
    if (std::ranges::any_of(config.repo_indexes(), has_cipher)) {
        // Keys must not end up in a core file, nor be read by the user's other processes.
        ::prctl(PR_SET_DUMPABLE, 0);
    }
}

log::Level frame_level(const Config& config)
{
    return config.command().begin_at_debug ? log::Level::debug : log::Level::info;
}

std::string shown_command(const Config& config)
{
    return fmt::format(
        "{}{}", config.command().name, config.role() == config::Role::async ? ":async" : "");
}

void log_begin(const Config& config)
{
    if (!log::is_enabled(frame_level(config))) {
        return;
    }
    std::string parameters;
    for (const std::string& parameter : config.parameters()) {
        parameters += (parameters.empty() ? " [" : ", ") + parameter;
    }
    log::write(frame_level(config),
               fmt::format("{} command begin {}:{}{}{}",
                           shown_command(config),
                           PGSTRATA_VERSION,
                           parameters,
                           parameters.empty() ? "" : "]",
                           config.non_default_options()));
}

void log_end(const Config& config, const std::string& how)
{
    if (log::is_enabled(frame_level(config))) {
        log::write(frame_level(config),
                   fmt::format("{} command end: {}", shown_command(config), how));
    }
}

void log_messages(const Config& config)
{
    for (const std::string& text : config.warnings()) {
        log::write(log::Level::warn, text);
    }
    for (const std::string& text : config.notes()) {
        log::write(log::Level::info, text);
    }
}

// The failure that is being handled, whatever it was thrown as.
Error current_error()
{
    try {
        throw;
    } catch (const Error& error) {
        return error;
    } catch (const std::bad_alloc&) {
        return {ErrorCode::memory, "out of memory"};
    } catch (const std::exception& error) {
        return {ErrorCode::unhandled, fmt::format("unexpected failure: {}", error.what())};
    }
}

void log_failure(const Error& error)
{
    log::write_error(error.exit_status(), error.what(), error.hint());
}

int run_framed(const Config& config, const config::Environment& environment)
{
    const std::uint64_t begin = monotonic_milliseconds();
    log_begin(config);
    log_messages(config);
    try {
        const int status = command::run_command(config, environment);
        log_end(config,
                config.flag("log-timestamp")
                    ? fmt::format("completed successfully ({}ms)", monotonic_milliseconds() - begin)
                    : "completed successfully");
        return status;
    } catch (const std::exception&) {
        // The first worker is this thread, and may have failed under its own number.
        log::set_process_number(0);
        const Error error = current_error();
        const bool is_signalled = pending_signal() != 0;
        if (error.code() != ErrorCode::terminated || !is_signalled) {
            log_failure(error);
        }
        log_end(config,
                is_signalled ? fmt::format("terminated on signal {}", signal_name(pending_signal()))
                             : fmt::format("aborted with exception [{:03}]", error.exit_status()));
        return is_signalled ? static_cast<int>(ErrorCode::terminated) : error.exit_status();
    }
}

int run(const config::Environment& environment, const Config& config)
{
    config::check_root_allowed(config, ::getuid());
    configure_process(config);
    configure_log(config);
    return run_framed(config, environment);
}

// Without its role.
std::string_view command_name(std::string_view word)
{
    return word.substr(0, word.find(':'));
}

// Whether the command line may mean archive-get, whatever else is wrong with it: the name of
// another command before it may be the value of an option. It may be shortened ("a" alone is
// annotate), though not behind another command, where "archive" is a path.
bool may_be_archive_get(std::span<char* const> arguments)
{
    constexpr std::string_view kName = "archive-get";
    if (std::ranges::find(arguments, kName, &command_name) != arguments.end()) {
        return true;
    }
    const auto command = std::ranges::find_if(arguments, [&](std::string_view word) {
        const std::string_view name = command_name(word);
        return config::find_command(name) != nullptr ||
               (name.size() > 1 && kName.starts_with(name));
    });
    return command != arguments.end() && config::find_command(command_name(*command)) == nullptr;
}

} // namespace

int main(int argc, char** argv)
{
    int status = 0;
    // For when loading throws. NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores)
    bool is_get = may_be_archive_get({argv, argv + argc});
    try {
        fill_standard_descriptors();
        configure_early_log();
        const config::Environment environment = config::process_environment(argc, argv);
        const Config config = config::load_config(environment);
        is_get = config.command().id == config::Command::archive_get;
        status = run(environment, config);
    } catch (const std::exception&) {
        const Error error = current_error();
        log_failure(error);
        status = error.exit_status();
    }
    return is_get && status > 1 ? kArchiveGetFailure + status : status;
}
