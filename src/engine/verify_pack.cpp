// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_pack.hpp"

#include "pgstrata/repository/file_pages.hpp"
#include "pgstrata/repository/object_error.hpp"
#include "pgstrata/util/cancel.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace pgstrata::engine {

namespace {

using repository::DamagedPlace;
using repository::Extent;

constexpr std::uint32_t kNoFile = UINT32_MAX;

// Whether the frame at `place`, of so many raw bytes, is the one that the extent lies in.
bool fits(const Extent& where, codec::FramePlace place, std::size_t raw_size)
{
    return where.offset == place.offset && where.length == place.length &&
           std::uint64_t{where.position} + where.size <= raw_size;
}

// Walks over all frames, which check their tags. False when one of `wanted` (ascending by offset)
// is not there.
bool has_all(codec::ObjectReader& reader,
             const std::vector<Extent>& wanted,
             const BytesRead& bytes_read)
{
    auto next = wanted.begin();
    for (std::uint32_t raw_size = 0; reader.check_next(raw_size);) {
        check_cancelled();
        const codec::FramePlace place = reader.place();
        bytes_read(place.length);
        for (; next != wanted.end() && next->offset <= place.offset; ++next) {
            if (!fits(*next, place, raw_size)) {
                return false;
            }
        }
    }
    bytes_read(reader.place().length);
    return next == wanted.end();
}

// What a stretch of a frame's raw bytes must be: pages with hashes, or a piece of a file.
struct Claim {
    Extent where;
    std::uint32_t file = kNoFile; // a piece of it
    std::size_t hashes = 0;       // position of the first page's in PackRun::hashes
    std::uint32_t page_size = 0;  // 0 unless it is pages
};

// A file that is met piece by piece.
struct OpenFile {
    codec::Xxh3Stream digest;
    std::uint32_t pieces = 0;
};

// One pack while it is read.
class PackRun : NonCopyable {
public:
    PackRun(const repository::Repository& repository,
            const VerifyClaims& claims,
            const repository::PackInfo& pack,
            PackScope scope)
        : repository_(repository), claims_(claims), pack_(pack), scope_(scope)
    {
    }

    void add_claims(const PackClaims& claims)
    {
        for (const WholePiece& piece : claims.pieces) {
            wanted_.push_back({piece.where, piece.file});
        }
        for (const Extent& place : claims.places) {
            wanted_.push_back({place});
        }
    }

    // Pages of one map that lie in this pack.
    void add_pages(const repository::PageMap& map, std::uint32_t pack)
    {
        std::size_t page = 0;
        for (const Extent& extent : map.extents) {
            const std::size_t pages = extent.size / map.page_size;
            if (extent.pack == pack) {
                wanted_.push_back({extent, kNoFile, hashes_.size(), map.page_size});
                const auto first = map.hashes.begin() + static_cast<std::ptrdiff_t>(page);
                hashes_.insert(hashes_.end(), first, first + static_cast<std::ptrdiff_t>(pages));
            }
            page += pages;
        }
    }

    // `source` is read ahead of.
    std::vector<DamagedPlace>
    read(const RandomSource& source, const std::string& path, const BytesRead& bytes_read)
    {
        std::ranges::sort(wanted_, {}, [](const Claim& claim) {
            return std::tuple(claim.where.offset, claim.where.position);
        });
        if (source.size() != pack_.size) {
            add(0,
                DamagedPlace::kToTheEnd,
                fmt::format("'{}' in the repository is damaged: it has {} bytes instead of {}",
                            path,
                            source.size(),
                            pack_.size));
            return std::move(damage_);
        }
        try {
            codec::ObjectReader reader(
                source, {codec::ObjectKind::pack, path}, repository_.cipher());
            Buffer raw;
            while (read_frame(reader, raw, bytes_read)) {
                check_cancelled();
            }
        } catch (const Error& error) {
            if (!repository::is_damage(error.code())) {
                throw;
            }
            // Its header: nothing in it can be opened.
            add(0, DamagedPlace::kToTheEnd, error.what());
        }
        return std::move(damage_);
    }

private:
    // False after the last frame.
    bool read_frame(codec::ObjectReader& reader, Buffer& raw, const BytesRead& bytes_read)
    {
        try {
            const bool is_frame = reader.next(raw);
            bytes_read(reader.place().length);
            if (is_frame) {
                check_frame(reader.place(), raw);
            } else {
                miss_until(DamagedPlace::kToTheEnd);
            }
            return is_frame;
        } catch (const Error& error) {
            if (!repository::is_damage(error.code())) {
                throw;
            }
            return pass_over(reader, error.what());
        }
    }

    // Goes on behind a damaged frame: with the next one that something lies in.
    bool pass_over(codec::ObjectReader& reader, const std::string& problem)
    {
        const std::uint64_t at = reader.place().offset;
        miss_until(at);
        const bool is_wanted = next_ < wanted_.size() && wanted_[next_].where.offset == at;
        while (next_ < wanted_.size() && wanted_[next_].where.offset == at) {
            open_.erase(wanted_[next_].file);
            ++next_;
        }
        const bool is_last = next_ == wanted_.size();
        if (is_wanted || (is_last && scope_ == PackScope::all)) {
            add(at, at + 1, problem);
        }
        if (!is_last) {
            reader.resume_at(wanted_[next_].where.offset);
        }
        return !is_last;
    }

    // Claims on frames that do not begin where one should.
    void miss_until(std::uint64_t offset)
    {
        for (; next_ < wanted_.size() && wanted_[next_].where.offset < offset; ++next_) {
            const std::uint64_t at = wanted_[next_].where.offset;
            add(at, at + 1, fmt::format("{} has no frame at byte {}", name(), at));
        }
    }

    void check_frame(codec::FramePlace place, ByteView raw)
    {
        miss_until(place.offset);
        for (; next_ < wanted_.size() && wanted_[next_].where.offset == place.offset; ++next_) {
            const Claim& claim = wanted_[next_];
            const Extent& where = claim.where;
            if (!fits(where, place, raw.size())) {
                add_extent(where,
                           fmt::format("{}: the frame at byte {} has another size than what lies "
                                       "in it says",
                                       name(),
                                       place.offset));
                continue;
            }
            const ByteView bytes = raw.subspan(where.position, where.size);
            if (claim.page_size != 0) {
                check_pages(claim, bytes);
            } else if (claim.file != kNoFile) {
                check_piece(claim, bytes);
            }
        }
    }

    void check_pages(const Claim& claim, ByteView bytes)
    {
        for (std::uint32_t at = 0; at < claim.where.size; at += claim.page_size) {
            const ByteView page = bytes.subspan(at, claim.page_size);
            const std::uint64_t hash = hashes_[claim.hashes + at / claim.page_size];
            if (codec::page_hash(page, repository_.page_hash_key()) != hash) {
                Extent where = claim.where;
                where.position += at;
                where.size = claim.page_size;
                add_extent(where,
                           fmt::format("{}: a page in the frame at byte {} is not the page that "
                                       "was backed up",
                                       name(),
                                       where.offset));
            }
        }
    }

    void check_piece(const Claim& claim, ByteView bytes)
    {
        const WholeFile& file = claims_.whole[claim.file];
        OpenFile& open = open_[claim.file];
        open.digest.update(bytes);
        if (++open.pieces < file.pieces) {
            return;
        }
        if (open.digest.finish() != file.digest) {
            add_extent(claim.where,
                       fmt::format("{}: a file that ends in the frame at byte {} does not have "
                                   "the digest it was stored with",
                                   name(),
                                   claim.where.offset));
        }
        open_.erase(claim.file);
    }

    std::string name() const
    {
        return fmt::format("pack {} of backup {}", pack_.name.number, pack_.name.label);
    }

    void add(std::uint64_t begin, std::uint64_t end, const std::string& problem)
    {
        DamagedPlace place{.pack = pack_.name, .begin = begin, .end = end};
        place.problem = problem;
        damage_.push_back(std::move(place));
    }

    void add_extent(const Extent& where, const std::string& problem)
    {
        add(where.offset, where.offset + 1, problem);
        damage_.back().position = where.position;
        damage_.back().size = where.size;
    }

    const repository::Repository& repository_;
    const VerifyClaims& claims_;
    const repository::PackInfo& pack_;
    PackScope scope_;
    std::vector<Claim> wanted_;
    std::vector<std::uint64_t> hashes_;
    std::map<std::uint32_t, OpenFile> open_;
    std::size_t next_ = 0; // of wanted_
    std::vector<DamagedPlace> damage_;
};

} // namespace

std::map<repository::PackName, std::uint64_t>
list_packs(const repository::Repository& repository,
           const std::string& stanza,
           const std::vector<repository::PackInfo>& packs)
{
    std::map<repository::PackName, std::uint64_t> there;
    std::set<std::string> labels;
    for (const repository::PackInfo& pack : packs) {
        labels.insert(pack.name.label);
    }
    for (const std::string& label : labels) {
        repository.storage().list(
            repository::pack_path(stanza, label), [&](const storage::EntryInfo& entry) {
                if (const auto number = repository::parse_pack_number(entry.name)) {
                    there[{label, *number}] = entry.size;
                }
            });
    }
    return there;
}

PackChecker::PackChecker(const repository::Repository& repository,
                         const std::string& stanza,
                         const VerifyClaims& claims,
                         PackScope scope,
                         const BytesRead& bytes_read)
    : maps_(repository, stanza, claims.packs), repository_(repository), stanza_(stanza),
      claims_(claims), scope_(scope), bytes_read_(bytes_read)
{
}

std::vector<DamagedPlace> PackChecker::check(std::uint32_t pack)
{
    const repository::PackInfo& info = claims_.packs[pack];
    const std::string path = repository::pack_path(stanza_, info.name.label, info.name.number);
    const auto source = repository_.storage().open(path);
    PackRun run(repository_, claims_, info, scope_);
    run.add_claims(claims_.of_pack[pack]);
    for (const std::uint32_t map : claims_.of_pack[pack].paged) {
        try {
            const auto read = repository::read_page_maps(
                maps_, claims_.packs, claims_.maps[map], fmt::format("a page map of '{}'", path));
            run.add_pages(read.at(0), pack);
        } catch (const Error& error) {
            // It was readable a moment ago; a pack that is gone since is found when its turn comes.
            if (!repository::is_damage(error.code()) && error.code() != ErrorCode::file_missing) {
                throw;
            }
        }
    }
    return run.read(ReadAheadSource(*source, window_), path, bytes_read_);
}

bool PackChecker::is_sound(std::uint32_t pack)
{
    const repository::PackInfo& info = claims_.packs[pack];
    const std::string path = repository::pack_path(stanza_, info.name.label, info.name.number);
    const auto source = repository_.storage().open(path);
    if (source->size() != info.size) {
        return false;
    }
    std::vector<Extent> wanted = claims_.of_pack[pack].places;
    std::ranges::sort(wanted, {}, &Extent::offset);
    try {
        const ReadAheadSource ahead(*source, window_);
        codec::ObjectReader reader(ahead, {codec::ObjectKind::pack, path}, repository_.cipher());
        return has_all(reader, wanted, bytes_read_);
    } catch (const Error& error) {
        if (!repository::is_damage(error.code())) {
            throw;
        }
        return false;
    }
}

std::vector<DamagedPlace> PackChecker::check_scattered(const ScatteredFile& file)
{
    codec::Xxh3Stream digest;
    const Extent& first = file.extents.front();
    DamagedPlace place{.pack = claims_.packs[first.pack].name,
                       .begin = first.offset,
                       .end = first.offset + 1,
                       .position = first.position,
                       .size = first.size};
    for (const Extent& extent : file.extents) {
        try {
            digest.update(maps_.read(extent));
        } catch (const Error& error) {
            if (!repository::is_damage(error.code()) && error.code() != ErrorCode::file_missing) {
                throw;
            }
            return {}; // the pack's own check says so
        }
    }
    if (digest.finish() == file.digest) {
        return {};
    }
    place.problem = fmt::format("a file that begins in pack {} of backup {} does not have the "
                                "digest it was stored with",
                                place.pack.number,
                                place.pack.label);
    return {place};
}

} // namespace pgstrata::engine
