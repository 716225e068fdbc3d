// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"
#include "pgstrata/util/error.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

// Documents without which nothing in the repository can be read are kept twice: at their path,
// where writing once decides which of several hosts wins, and after that, byte for byte, at
// copy_path() of it. Where both are sound the one at the path counts.
namespace pgstrata::repository {

// Takes what is in a text that was read at `path`. Throws Error(checksum) when it is damaged; for
// all else that it throws no copy is looked for.
using TextReader = std::function<void(std::string_view text, const std::string& path)>;

// Reads the document or, with a WARN, the copy of one that is missing or damaged. False when there
// is neither; when none is sound throws the error of the document, Error(file_missing) or
// Error(checksum), with a hint.
bool read_twin(const storage::Storage& storage, const std::string& path, const TextReader& read);

struct TwinFault {
    std::string object; // its path: of the document or of the copy
    Error error;
};
// Whether an error other than loss is of the object that was read, and not of the store.
using ErrorJudge = std::function<bool(const Error&)>;
// What is wrong with the two; what was lost says what mends it. An error that `is_of_object` denies
// is thrown.
std::vector<TwinFault> inspect_twin(const storage::Storage& storage,
                                    const std::string& path,
                                    const TextReader& read,
                                    const ErrorJudge& is_of_object);

// Writes the one of the two that is missing or damaged from the other, and touches none that is
// sound. Returns whether it wrote the copy. Throws Error(repo_invalid) when both are sound but not
// the same, and what read_twin() throws when none is.
bool mend_twin(storage::Storage& storage, const std::string& path, const TextReader& read);

} // namespace pgstrata::repository
