// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_plan.hpp"

#include <string>
#include <string_view>

namespace pgstrata::command {

// What restore --dry-run prints. `failures` are those of repositories that are passed over, each
// with a line feed before it.
std::string render_restore_plan(const engine::RestoreOptions& options,
                                const engine::RestorePlan& plan,
                                std::string_view failures);

} // namespace pgstrata::command
