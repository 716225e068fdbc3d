// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_claims.hpp"

#include "engine/verify_unreadable.hpp"

#include "pgstrata/repository/file_pages.hpp"
#include "pgstrata/repository/object_error.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/serial.hpp"

#include <algorithm>
#include <atomic>
#include <tuple>

namespace pgstrata::engine {

using repository::ContentKind;
using repository::DamagedPlace;
using repository::Extent;
using repository::ManifestFile;
using repository::PackInfo;
using repository::PackReader;
using repository::PageMap;

namespace {

// Paged files whose maps are read at once: what a manifest's files cost in memory.
constexpr std::size_t kFilesAtOnce = 4096;
// Neighbours whose maps are in one frame go to one worker.
constexpr std::size_t kFilesInTurn = 64;

std::uint64_t hash_of(const std::vector<Extent>& extents, const ManifestFile* file)
{
    Buffer bytes;
    const auto put = [&](const auto& value) {
        bytes.append({reinterpret_cast<const std::byte*>(&value), sizeof value});
    };
    if (file != nullptr) {
        put(file->size);
        put(file->digest);
    }
    for (const Extent& extent : extents) {
        put(extent.pack);
        put(extent.offset);
        put(extent.length);
        put(extent.position);
        put(extent.size);
    }
    return codec::xxh3_64(bytes, file != nullptr ? 1 : 0);
}

// Whether a front-to-back read of one pack meets the extents in their order.
bool is_consecutive(const std::vector<Extent>& extents)
{
    for (std::size_t i = 1; i < extents.size(); ++i) {
        const Extent& before = extents[i - 1];
        if (extents[i].pack != before.pack || std::tuple(extents[i].offset, extents[i].position) <=
                                                  std::tuple(before.offset, before.position)) {
            return false;
        }
    }
    return true;
}

} // namespace

std::vector<std::uint32_t> place_packs(const std::vector<PackInfo>& from,
                                       const std::vector<PackInfo>& to)
{
    std::vector<std::uint32_t> places;
    places.reserve(from.size());
    for (const PackInfo& pack : from) {
        const auto place = repository::find_pack(to, pack.name);
        if (!place) {
            raise(ErrorCode::assertion,
                  "pack {} of {} is unknown",
                  pack.name.number,
                  pack.name.label);
        }
        places.push_back(*place);
    }
    return places;
}

ClaimCollector::ClaimCollector(const repository::Repository& repository,
                               const VerifyOptions& options,
                               repository::VerifyDepth depth,
                               std::vector<PackInfo> packs)
    : repository_(repository), stanza_(options.stanza), workers_(options.workers), depth_(depth)
{
    claims_.packs = std::move(packs);
    claims_.of_pack.resize(claims_.packs.size());
}

bool ClaimCollector::is_new(const ManifestFile& file)
{
    return known_.insert(hash_of(file.extents, &file)).second;
}

void ClaimCollector::add_whole(const ManifestFile& file)
{
    if (!is_consecutive(file.extents)) {
        claims_.scattered.push_back({file.digest, file.extents});
        add_places(file.extents);
        return;
    }
    const auto number = static_cast<std::uint32_t>(claims_.whole.size());
    claims_.whole.push_back({file.digest, static_cast<std::uint32_t>(file.extents.size())});
    for (const Extent& extent : file.extents) {
        claims_.of_pack[extent.pack].pieces.push_back({extent, number});
    }
}

void ClaimCollector::add_places(const std::vector<Extent>& extents)
{
    for (const Extent& extent : extents) {
        claims_.of_pack[extent.pack].places.push_back(extent);
    }
}

std::uint64_t ClaimCollector::add(repository::ManifestReader& manifest, const std::string& label)
{
    const std::vector<std::uint32_t> places = place_packs(manifest.head().packs, claims_.packs);
    std::vector<PagedFile> paged;
    std::uint64_t files = 0;
    for (ManifestFile file; manifest.next(file); ++files) {
        for (Extent& extent : file.extents) {
            extent.pack = places[extent.pack];
        }
        if (file.content == ContentKind::empty || !is_new(file)) {
            continue;
        }
        if (depth_ == repository::VerifyDepth::quick) {
            add_places(file.extents);
            continue;
        }
        if (file.content == ContentKind::whole) {
            add_whole(file);
            continue;
        }
        paged.push_back({std::move(file.path), file.size, std::move(file.extents)});
        if (paged.size() >= kFilesAtOnce) {
            follow(paged, label);
            paged.clear();
        }
    }
    follow(paged, label);
    return files;
}

void ClaimCollector::follow(const std::vector<PagedFile>& files, const std::string& label)
{
    std::atomic<std::size_t> next = 0;
    run_workers(workers_, [&](std::size_t, const std::stop_token& token) {
        PackReader reader(repository_, stanza_, claims_.packs);
        const auto follow_unit = [&](std::size_t begin) {
            const std::size_t end = std::min(begin + kFilesInTurn, files.size());
            for (std::size_t i = begin; i < end && !token.stop_requested(); ++i) {
                check_cancelled();
                follow_one(reader,
                           files[i],
                           fmt::format("the page map of '{}' of backup {}", files[i].path, label));
            }
        };
        for (std::size_t i = next.fetch_add(kFilesInTurn);
             i < files.size() && !token.stop_requested();
             i = next.fetch_add(kFilesInTurn)) {
            follow_unit(i);
        }
    });
}

void ClaimCollector::follow_one(PackReader& reader, const PagedFile& file, const std::string& what)
{
    try {
        const auto maps = repository::read_page_maps(reader, claims_.packs, file.extents, what);
        const repository::FilePages pages(maps, what);
        if (std::uint64_t{pages.count()} * pages.page_size() != file.size) {
            raise(ErrorCode::format, "{} does not fit the file", what);
        }
        add_maps(file, maps);
    } catch (const Error& error) {
        rethrow_unless_of_object(repository_, error);
        blame(reader, file, error);
    }
}

void ClaimCollector::add_maps(const PagedFile& file, const std::vector<PageMap>& maps)
{
    std::size_t begin = 0;
    for (const PageMap& map : maps) {
        const std::string& label = claims_.packs[file.extents[begin].pack].name.label;
        std::size_t end = begin;
        while (end < file.extents.size() &&
               claims_.packs[file.extents[end].pack].name.label == label) {
            ++end;
        }
        std::vector<Extent> extents(file.extents.begin() + static_cast<std::ptrdiff_t>(begin),
                                    file.extents.begin() + static_cast<std::ptrdiff_t>(end));
        begin = end;
        const std::lock_guard lock(claims_mutex_);
        if (!known_.insert(hash_of(extents, nullptr)).second) {
            continue;
        }
        const auto number = static_cast<std::uint32_t>(claims_.maps.size());
        add_places(extents);
        for (const Extent& extent : map.extents) {
            std::vector<std::uint32_t>& paged = claims_.of_pack[extent.pack].paged;
            if (paged.empty() || paged.back() != number) {
                paged.push_back(number);
            }
        }
        claims_.maps.push_back(std::move(extents));
    }
}

// Finds out which frames make a file's maps useless: those that cannot be read, else all of them.
void ClaimCollector::blame(PackReader& reader, const PagedFile& file, const Error& reason)
{
    std::vector<DamagedPlace> places;
    std::vector<DamagedPlace> unreadable;
    for (const Extent& extent : file.extents) {
        try {
            reader.read(extent);
        } catch (const Error& error) {
            rethrow_unless_of_object(repository_, error);
            DamagedPlace place{.pack = claims_.packs[extent.pack].name};
            place.problem = problem_of(error);
            if (repository::is_unreadable(error.code())) {
                unreadable.push_back(std::move(place));
                continue;
            }
            place.begin = extent.offset;
            place.end = extent.offset + 1;
            places.push_back(std::move(place));
        }
    }
    const bool are_all_readable = places.empty() && unreadable.empty();
    for (const Extent& extent : file.extents) {
        if (are_all_readable) {
            const bool is_passing = repository::is_unreadable(reason.code());
            DamagedPlace place{.pack = claims_.packs[extent.pack].name,
                               .begin = extent.offset,
                               .end = extent.offset + 1,
                               .position = extent.position,
                               .size = extent.size};
            place.problem = problem_of(reason);
            (is_passing ? unreadable : places).push_back(std::move(place));
        }
    }
    const std::lock_guard lock(claims_mutex_);
    for (DamagedPlace& place : places) {
        damage_.add(std::move(place));
    }
    for (DamagedPlace& place : unreadable) {
        unreadable_.add(std::move(place));
    }
}

} // namespace pgstrata::engine
