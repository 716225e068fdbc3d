// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_packs.hpp"

#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/parallel.hpp"

#include <algorithm>

namespace pgstrata::engine {

using repository::DamagedPlace;
using repository::PackInfo;
using repository::PackName;
using repository::VerifyDepth;

PackVerification::PackVerification(const repository::Repository& repository,
                                   const VerifyOptions& options,
                                   HashShare share,
                                   const VerifyClaims& claims)
    : repository_(repository), options_(options), share_(share), claims_(claims)
{
}

PackScope PackVerification::scope() const noexcept
{
    return options_.label.empty() ? PackScope::all : PackScope::claimed;
}

std::string PackVerification::path_of(const PackName& pack) const
{
    return repository::pack_path(options_.stanza, pack.label, pack.number);
}

void PackVerification::lose(const PackName& pack, FaultKind kind, std::string problem)
{
    const std::lock_guard lock(mutex_);
    kinds_[pack] = kind;
    DamagedPlace place{.pack = pack};
    place.problem = std::move(problem);
    damage_.add(std::move(place));
}

std::uint64_t PackVerification::choose()
{
    const std::vector<PackInfo>& packs = claims_.packs;
    const auto there = list_packs(repository_, options_.stanza, packs);
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < packs.size(); ++i) {
        const auto found = there.find(packs[i].name);
        const std::string path = path_of(packs[i].name);
        if (found == there.end()) {
            lose(packs[i].name,
                 FaultKind::missing,
                 fmt::format("'{}' is missing in the repository", path));
        } else if (found->second != packs[i].size) {
            lose(packs[i].name,
                 FaultKind::size,
                 fmt::format("'{}' in the repository has {} bytes instead of {}",
                             path,
                             found->second,
                             packs[i].size));
        } else if (share_.has(path)) {
            chosen_.push_back(i);
            bytes += packs[i].size;
        }
    }
    // So that no worker is left alone with a large one at the end.
    std::ranges::stable_sort(
        chosen_, std::ranges::greater(), [&](std::uint32_t pack) { return packs[pack].size; });
    return bytes;
}

void PackVerification::work(const std::stop_token& token, const BytesRead& bytes_read)
{
    PackChecker checker(repository_, options_.stanza, claims_, scope(), bytes_read);
    for (std::size_t i = next_++; i < chosen_.size() && !token.stop_requested(); i = next_++) {
        read_one(checker, chosen_[i]);
    }
    const auto& scattered = claims_.scattered;
    for (std::size_t i = next_scattered_++; i < scattered.size() && !token.stop_requested();
         i = next_scattered_++) {
        check_cancelled();
        add(checker.check_scattered(scattered[i]));
    }
}

// A sector that cannot be read is damage; a store that is away is none.
template <typename Check>
void PackVerification::guard(const PackName& pack, const Check& check)
{
    try {
        check();
    } catch (const Error& error) {
        if (!is_of_object(error.code())) {
            throw;
        }
        lose(pack, kind_of(error.code()), error.what());
    }
}

void PackVerification::read_one(PackChecker& checker, std::uint32_t pack)
{
    const PackInfo& info = claims_.packs[pack];
    bool is_sound = true;
    guard(info.name, [&] {
        if (options_.depth == VerifyDepth::quick) {
            is_sound = checker.is_sound(pack);
        } else {
            add(checker.check(pack));
        }
    });
    const std::lock_guard lock(mutex_);
    bytes_ += info.size;
    read_.insert(info.name);
    if (!is_sound) {
        unsound_.push_back(pack);
    }
}

void PackVerification::look_closer(const VerifyClaims& full_claims)
{
    const BytesRead read_before = [](std::uint64_t /*bytes*/) {};
    std::atomic<std::size_t> next = 0;
    run_workers(options_.workers, [&](std::size_t, const std::stop_token& token) {
        PackChecker checker(repository_, options_.stanza, full_claims, scope(), read_before);
        for (std::size_t i = next++; i < unsound_.size() && !token.stop_requested(); i = next++) {
            const std::uint32_t pack = unsound_[i];
            guard(full_claims.packs[pack].name, [&] { add(checker.check(pack)); });
        }
    });
}

void PackVerification::add(std::vector<DamagedPlace> places)
{
    const std::lock_guard lock(mutex_);
    for (DamagedPlace& place : places) {
        damage_.add(std::move(place));
    }
}

} // namespace pgstrata::engine
