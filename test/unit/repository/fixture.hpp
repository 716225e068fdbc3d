// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/matchers.hpp"

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/repository.hpp"
#include "pgstrata/storage/memory.hpp"

#include <memory>
#include <string>
#include <vector>

namespace pgstrata::test {

// What `openssl rand -base64 48` prints: such a passphrase needs no slow derivation.
inline constexpr auto kGeneratedPassphrase =
    "u7Qd0rYxkT5m2Jp9Zs4Ew1LhVb8NcXa3Gf6RiOtKqDyUvHnBjPzSoMeClAwT0g2I";

inline repository::CipherSetting gcm_setting(std::string passphrase = kGeneratedPassphrase)
{
    return {codec::CipherType::aes_256_gcm, std::move(passphrase)};
}

// A repository in memory.
struct MemoryRepository {
    explicit MemoryRepository(const repository::CipherSetting& setting = {})
        : repository(repository::Repository::open_or_create(*storage, setting))
    {
    }
    const repository::Repository& operator*() const { return *repository; }

    Buffer read(std::string_view path) const
    {
        return storage::read_file(*storage, path, std::size_t{1} << 30U);
    }
    // Puts other bytes in the place of an object, as damage or an attacker would.
    void replace(std::string_view path, ByteView bytes) const
    {
        storage::write_file(*storage, path, bytes, storage::WriteMode::replace);
    }
    void flip(std::string_view path, std::size_t at, std::byte bits = std::byte{1}) const
    {
        Buffer bytes = read(path);
        bytes.span()[at] ^= bits;
        replace(path, bytes);
    }

    std::unique_ptr<storage::Storage> storage = storage::make_memory_storage();
    std::unique_ptr<repository::Repository> repository;
};

inline std::vector<std::string> names_in(const storage::Storage& storage,
                                         std::string_view directory)
{
    std::vector<std::string> names;
    storage.list(directory, [&](const storage::EntryInfo& entry) { names.push_back(entry.name); });
    return names;
}

inline constexpr auto kStanza = "demo";
inline constexpr auto kLabel = "20261121-020000F";
inline constexpr auto kIncrLabel = "20261121-020000F_20261122-020000I"; // on top of it
inline constexpr repository::ArchiveId kArchiveId = {15, 1};

} // namespace pgstrata::test
