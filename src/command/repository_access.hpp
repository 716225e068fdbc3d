// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/command/repositories.hpp"
#include "pgstrata/util/error.hpp"

#include <string>

namespace pgstrata::command {

// Proves that a repository can be written, read, listed and removed from, by doing it beside the
// archive of the stanza. Throws the first failure with the others in its message. A right to remove
// that is missing is logged as a warning: repositories may be made so that nobody can.
void check_access(const OpenedRepository& opened, const std::string& stanza);

// `error` with a hint that names the directory on a disk that is closed to us, if there is one.
Error explain_access(const Error& error, const config::Config& config, unsigned index);

} // namespace pgstrata::command
