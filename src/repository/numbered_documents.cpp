// SPDX-License-Identifier: PostgreSQL
#include "repository/numbered_documents.hpp"

#include "pgstrata/repository/layout.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace pgstrata::repository {

std::vector<unsigned> document_numbers(const Repository& repository, const std::string& directory)
{
    std::vector<unsigned> numbers;
    repository.storage().list(directory, [&](const storage::EntryInfo& entry) {
        if (const auto number = parse_note_name(entry.name)) {
            numbers.push_back(*number);
        }
    });
    std::ranges::sort(numbers);
    return numbers;
}

void write_next_document(const Repository& repository,
                         const std::string& directory,
                         const std::function<std::string(unsigned)>& path_of,
                         const nlohmann::json& document)
{
    const std::vector<unsigned> numbers = document_numbers(repository, directory);
    for (unsigned number = numbers.empty() ? 1 : numbers.back() + 1;; ++number) {
        try {
            repository.write_document(path_of(number), document);
            return;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::file_exists) {
                throw;
            }
        }
    }
}

} // namespace pgstrata::repository
