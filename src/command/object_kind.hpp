// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/object.hpp"

#include <optional>
#include <string_view>

namespace pgstrata::command {

// What kind of sealed object stands at this path of a repository; nullopt for what is never sealed
// (the repository's own description, key slots) and for everything that is not ours.
std::optional<codec::ObjectKind> object_kind(std::string_view path);

} // namespace pgstrata::command
