// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/error.hpp"

#include <string_view>

namespace pgstrata::command {

// The name that pgBackRest's users know the code by: "FileMissingError" for file_missing.
std::string_view error_name(ErrorCode code) noexcept;

} // namespace pgstrata::command
