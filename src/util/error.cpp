// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/error.hpp"

#include <cerrno>
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

void raise_errno(ErrorCode code, int error_number, std::string_view action)
{
    std::string hint;
    if (error_number == ENOSPC || error_number == EDQUOT) {
        hint = "free space on this filesystem (or raise the quota) and run the command again";
    } else if (error_number == EACCES || error_number == EPERM) {
        hint = "is the command run as the operating system user that owns these files?";
    }
    const std::string text = std::error_code(error_number, std::generic_category()).message();
    throw Error(code, fmt::format("unable to {}: [{}] {}", action, error_number, text), hint);
}

} // namespace pgstrata
