// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <string>

namespace pgstrata::command {

// A path that a user gave for something in a repository, relative to its root: it may be relative,
// or absolute within `root`, which is repo-path whatever the repository is stored in. Empty for the
// root itself. Throws Error(parameter_invalid) for one that leads out of it.
std::string repository_path(const std::string& given, const std::string& root);

} // namespace pgstrata::command
