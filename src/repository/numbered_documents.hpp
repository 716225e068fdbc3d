// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/repository.hpp"

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <string>
#include <vector>

// Documents that are written once each into a directory of their own and numbered from 1 on: notes
// and records of verify. The newest has the highest number.
namespace pgstrata::repository {

// Ascending; empty when there is no directory.
std::vector<unsigned> document_numbers(const Repository& repository, const std::string& directory);
// Of two that are written at once the later has the higher number. `path_of` names a document.
void write_next_document(const Repository& repository,
                         const std::string& directory,
                         const std::function<std::string(unsigned)>& path_of,
                         const nlohmann::json& document);

} // namespace pgstrata::repository
