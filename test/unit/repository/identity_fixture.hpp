// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/identity.hpp"
#include "pgstrata/repository/keys.hpp"

#include <map>
#include <string>
#include <vector>

namespace pgstrata::test {

using Objects = std::map<std::string, std::string>;

inline Objects objects_of(const storage::Storage& storage)
{
    Objects objects;
    storage::list_recursively(storage, "", [&](const storage::EntryInfo& entry) {
        const Buffer bytes =
            storage::read_file(storage, entry.name, 2 * repository::kDocumentLimit);
        objects[entry.name] = as_text(bytes);
    });
    return objects;
}

inline std::string slot_of(const storage::Storage& storage)
{
    return repository::list_key_slots(storage).at(0);
}

enum class Loss { removed, emptied, cut, flipped, too_large };

inline constexpr auto kLosses = {
    Loss::removed, Loss::emptied, Loss::cut, Loss::flipped, Loss::too_large};

inline void lose(const MemoryRepository& memory, const std::string& path, Loss loss)
{
    const Buffer bytes = memory.read(path);
    switch (loss) {
    case Loss::removed:
        memory.storage->remove(path);
        break;
    case Loss::emptied:
        memory.replace(path, {});
        break;
    case Loss::cut:
        memory.replace(path, bytes.view().first(bytes.size() - 1));
        break;
    case Loss::flipped:
        memory.flip(path, bytes.size() - 10);
        break;
    case Loss::too_large:
        memory.replace(path, as_bytes(std::string(repository::kDocumentLimit + 1, ' ')));
        break;
    }
}

// The documents of a repository that are kept twice.
inline std::vector<std::string> documents(const MemoryRepository& memory)
{
    std::vector<std::string> paths = repository::list_key_slots(*memory.storage);
    paths.emplace_back(repository::kRepositoryFile);
    return paths;
}

inline repository::CipherSetting open_or_sealed()
{
    return GENERATE(repository::CipherSetting(), gcm_setting());
}

// Only what is not understood is of the object.
inline std::vector<repository::TwinFault> inspect(const storage::Storage& storage)
{
    return repository::inspect_documents(
        storage, [](const Error& error) { return error.code() == ErrorCode::format; });
}

} // namespace pgstrata::test
