// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/log/log.hpp"

#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/ownership.hpp"
#include "pgstrata/util/printable.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <string>
#include <system_error>
#include <utility>

namespace pgstrata::log {

namespace {

using Line = fmt::memory_buffer;

constexpr std::array<std::string_view, 7> kNames = {
    "off", "error", "warn", "info", "detail", "debug", "trace"};
constexpr std::array<std::string_view, 7> kLabels = {
    "OFF", "ERROR", "WARN", "INFO", "DETAIL", "DEBUG", "TRACE"};
constexpr std::string_view kBanner = "-------------------PROCESS START-------------------\n";

// Settled by main before other threads start, so that a line needs no lock: it is one write(2).
Settings settings;
FileDescriptor file;
std::string file_path;
std::atomic<bool> is_file_complete = true;
std::atomic<Level> most_detailed = Level::warn;
thread_local unsigned process_number = 0;

void settle_most_detailed()
{
    Level most = std::max(settings.console, settings.standard_error);
    if (file.is_open()) {
        most = std::max(most, settings.file);
    }
    most_detailed.store(most, std::memory_order_relaxed);
}

std::string_view label(Level level)
{
    return kLabels.at(static_cast<std::size_t>(level));
}

void append_timestamp(Line& line)
{
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    ::localtime_r(&now.tv_sec, &parts);
    fmt::format_to(std::back_inserter(line),
                   "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03} ",
                   parts.tm_year + 1900,
                   parts.tm_mon + 1,
                   parts.tm_mday,
                   parts.tm_hour,
                   parts.tm_min,
                   parts.tm_sec,
                   now.tv_nsec / 1'000'000);
}

// `text` with its further lines moved to where the first one starts.
void append_indented(Line& line, std::string_view text, std::size_t column)
{
    while (!text.empty() && text.back() == '\n') {
        text.remove_suffix(1);
    }
    for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
        line.append(text.substr(0, end + 1));
        fmt::format_to(std::back_inserter(line), "{:{}}", "", column);
        text.remove_prefix(end + 1);
    }
    line.append(text);
}

// What follows the level: code, marks and the text.
void append_message(Line& line, Level level, int code, std::string_view text)
{
    const std::size_t column = line.size();
    if (code != 0) {
        fmt::format_to(std::back_inserter(line), "[{:03}]: ", code);
    }
    if (settings.dry_run) {
        line.append(std::string_view("[DRY-RUN] "));
    }
    if (level >= Level::debug) {
        line.append(std::string_view(level == Level::debug ? "    " : "        "));
    }
    append_indented(line, text, column);
    line.push_back('\n');
}

void append_full(Line& line, Level level, int code, std::string_view text)
{
    if (settings.timestamp) {
        append_timestamp(line);
    }
    fmt::format_to(std::back_inserter(line),
                   "P{:0{}} {:>6}: ",
                   process_number,
                   settings.process_digits,
                   label(level));
    append_message(line, level, code, text);
}

// 0, or what was in the way (errno).
int put(int fd, std::string_view text) noexcept
{
    while (!text.empty()) {
        const ssize_t count = ::write(fd, text.data(), text.size());
        if (count > 0) {
            text.remove_prefix(static_cast<std::size_t>(count));
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int put(int fd, const Line& line) noexcept
{
    return put(fd, std::string_view(line.data(), line.size()));
}

void emit_to_console(Level level, int code, std::string_view text)
{
    Line line;
    const bool is_short = level <= settings.standard_error;
    if (is_short) {
        fmt::format_to(std::back_inserter(line), "{}: ", label(level));
        append_message(line, level, code, text);
    } else {
        append_full(line, level, code, text);
    }
    const bool is_output = !is_short && settings.console_stream == ConsoleStream::standard_output;
    // There is nobody to tell about a console that cannot be written.
    static_cast<void>(put(is_output ? STDOUT_FILENO : STDERR_FILENO, line));
}

bool is_for_console(Level level)
{
    return level <= std::max(settings.console, settings.standard_error);
}

// `problem`: what the last write to the file came to (errno). Told once, for a full disk would be
// told with each line.
void tell_of_file(int problem)
{
    if (problem == 0 || !is_file_complete.exchange(false) || !is_for_console(Level::warn)) {
        return;
    }
    const std::string text =
        fmt::format("unable to write '{}': [{}] {}\n"
                    "NOTE: the command goes on, but its log file is not complete.",
                    file_path,
                    problem,
                    std::error_code(problem, std::generic_category()).message());
    emit_to_console(Level::warn, 0, make_printable(text));
}

void emit_printable(Level level, int code, std::string_view text)
{
    if (is_for_console(level)) {
        emit_to_console(level, code, text);
    }
    if (file.is_open() && level <= settings.file) {
        Line line;
        append_full(line, level, code, text);
        tell_of_file(put(file.get(), line));
    }
}

// Messages quote files, servers and stores, whose bytes must not reach a terminal as they are.
void emit(Level level, int code, std::string_view text)
{
    if (is_printable(text)) {
        emit_printable(level, code, text);
    } else {
        emit_printable(level, code, make_printable(text));
    }
}

} // namespace

std::optional<Level> parse_level(std::string_view name) noexcept
{
    for (std::size_t i = 0; i < kNames.size(); ++i) {
        if (kNames.at(i) == name) {
            return static_cast<Level>(i);
        }
    }
    return std::nullopt;
}

std::string_view level_name(Level level) noexcept
{
    return kNames.at(static_cast<std::size_t>(level));
}

void configure(const Settings& wanted)
{
    settings = wanted;
    settle_most_detailed();
}

void open_file(const std::string& path)
{
    file = {};
    file_path = path;
    is_file_complete = true;
    if (settings.file != Level::off) {
        try {
            file = open_for_heir(path, O_WRONLY | O_APPEND | O_NOCTTY);
        } catch (const Error& error) {
            write(Level::warn,
                  fmt::format("{}\nNOTE: the command goes on without a log file.", error.what()));
        }
    }
    settle_most_detailed();
    if (file.is_open()) {
        struct stat status {};
        const bool has_content = ::fstat(file.get(), &status) == 0 && status.st_size > 0;
        tell_of_file(put(file.get(), fmt::format("{}{}", has_content ? "\n" : "", kBanner)));
    }
}

void set_process_number(unsigned number) noexcept
{
    process_number = number;
}

bool is_enabled(Level level) noexcept
{
    return level != Level::off && level <= most_detailed.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view text)
{
    if (is_enabled(level)) {
        emit(level, 0, text);
    }
}

void write_error(int code, std::string_view text, std::string_view hint)
{
    if (is_enabled(Level::error)) {
        emit(Level::error,
             code,
             hint.empty() ? std::string(text) : fmt::format("{}\nHINT: {}", text, hint));
    }
}

} // namespace pgstrata::log
