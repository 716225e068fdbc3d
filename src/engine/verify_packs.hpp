// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/verify_archive.hpp"
#include "engine/verify_pack.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace pgstrata::engine {

// The packs of one run of verify: which of them are read, and what is wrong with them.
class PackVerification : NonCopyable {
public:
    // All outlive it. The claims are of the depth of the options.
    PackVerification(const repository::Repository& repository,
                     const VerifyOptions& options,
                     HashShare share,
                     const VerifyClaims& claims);
    // Looks which packs are there and chooses those that are read. Returns their bytes.
    std::uint64_t choose();
    // Reads packs until none is left; many workers at once.
    void work(const std::stop_token& token, const BytesRead& bytes_read);
    // Packs that a quick run has found not to be sound. What is wrong is found out at full depth,
    // so that the findings, and what the next backup stores anew, are the same at both.
    bool is_any_unsound() const noexcept { return !unsound_.empty(); }
    void look_closer(const VerifyClaims& full_claims);

    // When the work is done:
    repository::Damage& damage() noexcept { return damage_; }
    // Packs that cannot be read at the moment, as a whole.
    repository::Damage& unreadable() noexcept { return unreadable_; }
    // Of packs that are lost as a whole.
    const std::map<repository::PackName, FaultKind>& kinds() const noexcept { return kinds_; }
    // That were read.
    const std::set<repository::PackName>& read() const noexcept { return read_; }
    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    PackScope scope() const noexcept;
    std::string path_of(const repository::PackName& pack) const;
    void lose(const repository::PackName& pack, FaultKind kind, std::string problem);
    void miss(const repository::PackName& pack, const Error& error);
    template <typename Check>
    bool guard(const repository::PackName& pack, const Check& check);
    std::map<repository::PackName, std::uint64_t> find_packs();
    void check_scattered(PackChecker& checker, const ScatteredFile& file);
    void read_one(PackChecker& checker, std::uint32_t pack);
    void add(std::vector<repository::DamagedPlace> places);

    const repository::Repository& repository_;
    const VerifyOptions& options_;
    HashShare share_;
    const VerifyClaims& claims_;
    std::vector<std::uint32_t> chosen_; // positions, the largest first
    std::atomic<std::size_t> next_ = 0;
    std::atomic<std::size_t> next_scattered_ = 0;
    std::mutex mutex_; // guards the rest while packs are read
    std::vector<std::uint32_t> unsound_;
    repository::Damage damage_;
    repository::Damage unreadable_;
    std::map<repository::PackName, FaultKind> kinds_;
    std::set<repository::PackName> read_;
    std::uint64_t bytes_ = 0;
};

} // namespace pgstrata::engine
