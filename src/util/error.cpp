// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/error.hpp"

#include <cerrno>
#include <optional>
#include <system_error>

namespace pgstrata {

Error::Error(ErrorCode code, const std::string& message, std::string hint)
    : std::runtime_error(message), code_(code), hint_(std::move(hint))
{
}

Error Error::with_hint(std::string hint) const
{
    return hint_.empty() ? Error(code_, what(), std::move(hint)) : *this;
}

Error Error::within(std::string_view action) const
{
    return {code_, fmt::format("{}: {}", action, what()), hint_};
}

namespace {

// What this host or process has too little of says nothing of the file that was asked for, and must
// not be taken for a fault of it.
std::optional<Error> find_shortage(int error_number, const std::string& message)
{
    switch (error_number) {
    case EMFILE:
        return Error(ErrorCode::kernel,
                     message,
                     "raise the limit of open files (ulimit -n), or lower process-max");
    case ENFILE:
        return Error(ErrorCode::kernel, message, "raise fs.file-max of this host");
    case ENOMEM:
    case ENOBUFS:
        return Error(ErrorCode::memory, message, "free memory on this host, or lower process-max");
    default:
        return std::nullopt;
    }
}

} // namespace

void raise_errno(ErrorCode code, int error_number, std::string_view action)
{
    const std::string text = std::error_code(error_number, std::generic_category()).message();
    const std::string message = fmt::format("unable to {}: [{}] {}", action, error_number, text);
    if (const auto shortage = find_shortage(error_number, message)) {
        throw Error(*shortage);
    }
    std::string hint;
    if (error_number == ENOSPC || error_number == EDQUOT) {
        hint = "free space on this filesystem (or raise the quota) and run the command again";
    } else if (error_number == EACCES || error_number == EPERM) {
        hint = "is the command run as the operating system user that owns these files?";
    }
    throw Error(code, message, hint);
}

} // namespace pgstrata
