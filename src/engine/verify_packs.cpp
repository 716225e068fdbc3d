// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_packs.hpp"

#include "engine/verify_unreadable.hpp"

#include "pgstrata/repository/object_error.hpp"
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

void PackVerification::miss(const PackName& pack, const Error& error)
{
    const std::lock_guard lock(mutex_);
    DamagedPlace place{.pack = pack};
    place.problem = problem_of(error);
    unreadable_.add(std::move(place));
}

std::map<PackName, std::uint64_t> PackVerification::find_packs()
{
    std::map<std::string, std::vector<PackInfo>> by_label;
    for (const PackInfo& pack : claims_.packs) {
        by_label[pack.name.label].push_back(pack);
    }
    std::map<PackName, std::uint64_t> there;
    for (const auto& [label, packs] : by_label) {
        try {
            there.merge(list_packs(repository_, options_.stanza, packs));
        } catch (const Error& error) {
            if (!repository::is_one_unreadable(repository_, error)) {
                throw;
            }
            for (const PackInfo& pack : packs) {
                miss(pack.name, error);
            }
        }
    }
    return there;
}

std::uint64_t PackVerification::choose()
{
    const std::vector<PackInfo>& packs = claims_.packs;
    const auto there = find_packs();
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < packs.size(); ++i) {
        const auto found = there.find(packs[i].name);
        const std::string path = path_of(packs[i].name);
        if (unreadable_.has(packs[i].name)) {
            continue;
        }
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
        check_scattered(checker, scattered[i]);
    }
}

// A sector that cannot be read is damage; a store that is away is none, nor is a file that may not
// be read. Returns whether the pack was read.
template <typename Check>
bool PackVerification::guard(const PackName& pack, const Check& check)
{
    try {
        check();
    } catch (const Error& error) {
        rethrow_unless_of_object(repository_, error);
        if (repository::is_unreadable(error.code())) {
            miss(pack, error);
            return false;
        }
        lose(pack, kind_of(error.code()), error.what());
    }
    return true;
}

void PackVerification::check_scattered(PackChecker& checker, const ScatteredFile& file)
{
    try {
        add(checker.check_scattered(file));
    } catch (const Error& error) {
        if (!repository::is_one_unreadable(repository_, error)) {
            throw;
        }
        // Its other packs may be well, and of a sample they are not read.
        for (const repository::Extent& extent : file.extents) {
            const PackName& pack = claims_.packs[extent.pack].name;
            guard(pack, [&] { repository_.storage().open(path_of(pack)); });
        }
    }
}

void PackVerification::read_one(PackChecker& checker, std::uint32_t pack)
{
    const PackInfo& info = claims_.packs[pack];
    bool is_sound = true;
    const bool is_read = guard(info.name, [&] {
        if (options_.depth == VerifyDepth::quick) {
            is_sound = checker.is_sound(pack);
        } else {
            add(checker.check(pack));
        }
    });
    if (!is_read) {
        return;
    }
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
