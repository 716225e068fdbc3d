// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/verify_claims.hpp"

#include <functional>
#include <map>
#include <vector>

namespace pgstrata::engine {

// Told of the bytes that were read, from any worker.
using BytesRead = std::function<void(std::uint64_t)>;

// What of a pack counts: all of it, or only what the claims are about, since the rest belongs to
// backups that are not looked at.
enum class PackScope : std::uint8_t { all, claimed };

// Reads packs front to back, each frame once, and holds what is in them against the claims. One
// thread; one checker a worker.
class PackChecker : NonCopyable {
public:
    // All outlive the checker.
    PackChecker(const repository::Repository& repository,
                const std::string& stanza,
                const VerifyClaims& claims,
                PackScope scope,
                const BytesRead& bytes_read);
    // Whether every frame of the pack is, by its tag, what was stored in its place, and what claims
    // name is there; nothing is decompressed. What is wrong is for check() to say. Throws as it.
    bool is_sound(std::uint32_t pack);
    // The damaged places of the pack at that position, of frames that something lies in, of its
    // header and of its end. Throws Error(file_missing) when the pack is not there, and what is not
    // damage, such as a repository that cannot be reached.
    std::vector<repository::DamagedPlace> check(std::uint32_t pack);
    // Files whose pieces are in several packs, or not in order. The damage is in the first.
    std::vector<repository::DamagedPlace> check_scattered(const ScatteredFile& file);

private:
    repository::PackReader maps_;
    const repository::Repository& repository_;
    const std::string& stanza_;
    const VerifyClaims& claims_;
    PackScope scope_;
    const BytesRead& bytes_read_;
    Buffer window_;
};

// Which of the packs, and others of their backups, are there, with their sizes.
std::map<repository::PackName, std::uint64_t>
list_packs(const repository::Repository& repository,
           const std::string& stanza,
           const std::vector<repository::PackInfo>& packs);

} // namespace pgstrata::engine
