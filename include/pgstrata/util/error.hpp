// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace pgstrata {

// What went wrong, as far as a caller or a script can do something about it. The number is the exit
// status of the program and never changes; the list with its meanings is in pgstrata(1).
enum class ErrorCode : std::uint8_t {
    assertion = 25,
    checksum = 26,
    config = 27,
    file_invalid = 28,
    format = 29,
    command_required = 30,
    option_invalid = 31,
    option_invalid_value = 32,
    option_required = 37,
    pg_running = 38,
    protocol = 39,
    path_not_empty = 40,
    file_open = 41,
    file_read = 42,
    parameter_required = 43,
    archive_mismatch = 44,
    archive_duplicate = 45,
    version_not_supported = 46,
    path_create = 47,
    command_invalid = 48,
    host_connect = 49,
    lock_acquire = 50,
    backup_mismatch = 51,
    file_sync = 52,
    path_open = 53,
    path_sync = 54,
    file_missing = 55,
    db_connect = 56,
    db_query = 57,
    db_mismatch = 58,
    file_remove = 60,
    path_remove = 61,
    stop = 62,
    terminated = 63,
    file_write = 64,
    feature_not_supported = 67,
    archive_command_invalid = 68,
    link_expected = 69,
    link_destination = 70,
    host_invalid = 72,
    path_missing = 73,
    file_move = 74,
    backup_set_invalid = 75,
    tablespace_map = 76,
    link_map = 78,
    file_close = 79,
    db_missing = 80,
    db_invalid = 81,
    archive_timeout = 82,
    file_mode = 83,
    archive_disabled = 87,
    file_owner = 88,
    user_missing = 89,
    file_exists = 93,
    memory = 94,
    crypto = 95,
    parameter_invalid = 96,
    path_close = 97,
    file_info = 98,
    json_format = 99,
    kernel = 100,
    service = 101,
    execute = 102,
    repo_invalid = 103,
    command = 104,
    access = 105,
    clock = 106,
    runtime = 122,
    unhandled = 125,
};

// A failure on its way to main. The message is lower case without a full stop, says the action and
// quotes the object; the hint says what to try. Neither ever holds a secret.
class Error : public std::runtime_error {
public:
    Error(ErrorCode code, const std::string& message, std::string hint = {});

    ErrorCode code() const noexcept { return code_; }
    int exit_status() const noexcept { return static_cast<int>(code_); }
    const std::string& hint() const noexcept { return hint_; }

    // The same error with `hint` in place of an empty one.
    Error with_hint(std::string hint) const;
    // The same error seen from one level up: keeps code and hint, puts `action` before the message.
    Error within(std::string_view action) const;

private:
    ErrorCode code_;
    std::string hint_;
};

template <typename... Args>
[[noreturn]] void raise(ErrorCode code, fmt::format_string<Args...> text, Args&&... args)
{
    throw Error(code, fmt::format(text, std::forward<Args>(args)...));
}

// Throws Error(code) with "unable to ACTION: TEXT OF ERRNO". ENOSPC and EDQUOT get a hint of their
// own. What this host has too little of is no fault of the file, whatever `code` is: Error(kernel)
// for descriptors, Error(memory) for memory.
[[noreturn]] void raise_errno(ErrorCode code, int error_number, std::string_view action);

} // namespace pgstrata
