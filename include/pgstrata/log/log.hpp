// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The one log of the process. Lines look like pgBackRest's, since people and tools read them:
//   2026-11-21 02:00:00.123 P00   INFO: text            (console and file)
//   INFO: text                                          (stderr form)
// Errors carry their code ("ERROR: [082]: text"); continuation lines are indented to the message. A
// message at or above the stderr level goes to stderr only, else to the console if it passes the
// console level; the file decides for itself. All functions may be called from any thread.
namespace pgstrata::log {

enum class Level : std::uint8_t { off = 0, error, warn, info, detail, debug, trace };

std::optional<Level> parse_level(std::string_view name) noexcept;
std::string_view level_name(Level level) noexcept; // lower case

enum class ConsoleStream : std::uint8_t { standard_output, standard_error };

struct Settings {
    Level console = Level::warn;
    Level file = Level::off;
    Level standard_error = Level::off;
    bool timestamp = true;
    bool dry_run = false; // prefixes texts with "[DRY-RUN] "
    ConsoleStream console_stream = ConsoleStream::standard_output;
    unsigned process_digits = 2; // 3 when process-max is above 99
};

// Takes effect at once. Called by main before any thread starts.
void configure(const Settings& wanted);
// Opens the log file for appending and writes the start banner. When it cannot be opened one WARN
// line says so and the program goes on without a file; when a line cannot be written to it later
// (a full disk), one WARN line on the console says so too.
void open_file(const std::string& path);

// The number after P in this thread's lines: 0 for the main thread, workers from 1.
void set_process_number(unsigned number) noexcept;

bool is_enabled(Level level) noexcept;
void write(Level level, std::string_view text); // shown as make_printable() does
// An error with its code and, on a line of its own, "HINT: ...".
void write_error(int code, std::string_view text, std::string_view hint = {});

template <typename... Args>
void warn(fmt::format_string<Args...> text, Args&&... args)
{
    if (is_enabled(Level::warn)) {
        write(Level::warn, fmt::format(text, std::forward<Args>(args)...));
    }
}
template <typename... Args>
void info(fmt::format_string<Args...> text, Args&&... args)
{
    if (is_enabled(Level::info)) {
        write(Level::info, fmt::format(text, std::forward<Args>(args)...));
    }
}
template <typename... Args>
void detail(fmt::format_string<Args...> text, Args&&... args)
{
    if (is_enabled(Level::detail)) {
        write(Level::detail, fmt::format(text, std::forward<Args>(args)...));
    }
}
template <typename... Args>
void debug(fmt::format_string<Args...> text, Args&&... args)
{
    if (is_enabled(Level::debug)) {
        write(Level::debug, fmt::format(text, std::forward<Args>(args)...));
    }
}

} // namespace pgstrata::log
