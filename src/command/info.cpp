// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/commands.hpp"
#include "pgstrata/util/error.hpp"
namespace pgstrata::command {
int run_info(const config::Config&)
{
    raise(ErrorCode::feature_not_supported, "info");
}
} // namespace pgstrata::command
