// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_plan.hpp"

#include <string>

namespace pgstrata::command {

// What restore --dry-run prints.
std::string render_restore_plan(const engine::RestoreOptions& options,
                                const engine::RestorePlan& plan);

} // namespace pgstrata::command
