// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/error_names.hpp"

#include <algorithm>
#include <array>

namespace pgstrata::command {

namespace {

struct Row {
    ErrorCode code = ErrorCode::unhandled;
    std::string_view name;
};

constexpr std::array kNames = {
    Row{ErrorCode::assertion, "AssertError"},
    Row{ErrorCode::checksum, "ChecksumError"},
    Row{ErrorCode::config, "ConfigError"},
    Row{ErrorCode::file_invalid, "FileInvalidError"},
    Row{ErrorCode::format, "FormatError"},
    Row{ErrorCode::command_required, "CommandRequiredError"},
    Row{ErrorCode::option_invalid, "OptionInvalidError"},
    Row{ErrorCode::option_invalid_value, "OptionInvalidValueError"},
    Row{ErrorCode::option_required, "OptionRequiredError"},
    Row{ErrorCode::pg_running, "PgRunningError"},
    Row{ErrorCode::protocol, "ProtocolError"},
    Row{ErrorCode::path_not_empty, "PathNotEmptyError"},
    Row{ErrorCode::file_open, "FileOpenError"},
    Row{ErrorCode::file_read, "FileReadError"},
    Row{ErrorCode::parameter_required, "ParamRequiredError"},
    Row{ErrorCode::archive_mismatch, "ArchiveMismatchError"},
    Row{ErrorCode::archive_duplicate, "ArchiveDuplicateError"},
    Row{ErrorCode::version_not_supported, "VersionNotSupportedError"},
    Row{ErrorCode::path_create, "PathCreateError"},
    Row{ErrorCode::command_invalid, "CommandInvalidError"},
    Row{ErrorCode::host_connect, "HostConnectError"},
    Row{ErrorCode::lock_acquire, "LockAcquireError"},
    Row{ErrorCode::backup_mismatch, "BackupMismatchError"},
    Row{ErrorCode::file_sync, "FileSyncError"},
    Row{ErrorCode::path_open, "PathOpenError"},
    Row{ErrorCode::path_sync, "PathSyncError"},
    Row{ErrorCode::file_missing, "FileMissingError"},
    Row{ErrorCode::db_connect, "DbConnectError"},
    Row{ErrorCode::db_query, "DbQueryError"},
    Row{ErrorCode::db_mismatch, "DbMismatchError"},
    Row{ErrorCode::file_remove, "FileRemoveError"},
    Row{ErrorCode::path_remove, "PathRemoveError"},
    Row{ErrorCode::stop, "StopError"},
    Row{ErrorCode::terminated, "TermError"},
    Row{ErrorCode::file_write, "FileWriteError"},
    Row{ErrorCode::feature_not_supported, "FeatureNotSupportedError"},
    Row{ErrorCode::archive_command_invalid, "ArchiveCommandInvalidError"},
    Row{ErrorCode::link_expected, "LinkExpectedError"},
    Row{ErrorCode::link_destination, "LinkDestinationError"},
    Row{ErrorCode::host_invalid, "HostInvalidError"},
    Row{ErrorCode::path_missing, "PathMissingError"},
    Row{ErrorCode::file_move, "FileMoveError"},
    Row{ErrorCode::backup_set_invalid, "BackupSetInvalidError"},
    Row{ErrorCode::tablespace_map, "TablespaceMapError"},
    Row{ErrorCode::link_map, "LinkMapError"},
    Row{ErrorCode::file_close, "FileCloseError"},
    Row{ErrorCode::db_missing, "DbMissingError"},
    Row{ErrorCode::db_invalid, "DbInvalidError"},
    Row{ErrorCode::archive_timeout, "ArchiveTimeoutError"},
    Row{ErrorCode::file_mode, "FileModeError"},
    Row{ErrorCode::archive_disabled, "ArchiveDisabledError"},
    Row{ErrorCode::file_owner, "FileOwnerError"},
    Row{ErrorCode::user_missing, "UserMissingError"},
    Row{ErrorCode::file_exists, "FileExistsError"},
    Row{ErrorCode::memory, "MemoryError"},
    Row{ErrorCode::crypto, "CryptoError"},
    Row{ErrorCode::parameter_invalid, "ParamInvalidError"},
    Row{ErrorCode::path_close, "PathCloseError"},
    Row{ErrorCode::file_info, "FileInfoError"},
    Row{ErrorCode::json_format, "JsonFormatError"},
    Row{ErrorCode::kernel, "KernelError"},
    Row{ErrorCode::service, "ServiceError"},
    Row{ErrorCode::execute, "ExecuteError"},
    Row{ErrorCode::repo_invalid, "RepoInvalidError"},
    Row{ErrorCode::command, "CommandError"},
    Row{ErrorCode::access, "AccessError"},
    Row{ErrorCode::clock, "ClockError"},
    Row{ErrorCode::runtime, "RuntimeError"},
    Row{ErrorCode::unhandled, "UnhandledError"},
};

} // namespace

std::string_view error_name(ErrorCode code) noexcept
{
    const auto* found = std::ranges::find(kNames, code, &Row::code);
    return found != kNames.end() ? found->name : "UnknownError";
}

} // namespace pgstrata::command
