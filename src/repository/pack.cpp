// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/pack.hpp"

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>

namespace pgstrata::repository {

namespace {

// How much work a crash may cost, where packs fill slowly.
constexpr std::uint64_t kPackMilliseconds = 1000;
// Frames are looked for one by one, and small ones would be many.
constexpr std::size_t kCachedFrames = 256;

} // namespace

std::optional<std::uint32_t> find_pack(const std::vector<PackInfo>& packs, const PackName& name)
{
    const auto found = std::ranges::lower_bound(packs, name, {}, &PackInfo::name);
    if (found == packs.end() || found->name != name) {
        return std::nullopt;
    }
    return static_cast<std::uint32_t>(found - packs.begin());
}

PackSet::PackSet(const Repository& repository,
                 std::string stanza,
                 std::string label,
                 std::uint64_t pack_size)
    : repository_(repository), stanza_(std::move(stanza)), label_(std::move(label)),
      pack_size_(pack_size)
{
}

void PackSet::take_over(const std::vector<PackInfo>& packs)
{
    for (const PackInfo& pack : packs) {
        add_finished(pack.name.number, pack.size);
    }
    // What that try left besides stays where it is, so its names are taken too.
    const auto step_behind = [&](const storage::EntryInfo& entry) {
        if (const auto number = parse_pack_number(entry.name)) {
            next_ = std::max(next_.load(), *number + 1);
        }
    };
    repository_.storage().list(pack_path(stanza_, label_), step_behind);
    repository_.storage().list(journal_path(stanza_, label_), step_behind);
}

void PackSet::add_finished(std::uint32_t number, std::uint64_t size)
{
    const std::lock_guard lock(finished_mutex_);
    finished_.push_back({{label_, number}, size});
}

std::vector<PackInfo> PackSet::finished() const
{
    const std::lock_guard lock(finished_mutex_);
    std::vector<PackInfo> packs = finished_;
    std::ranges::sort(packs, {}, &PackInfo::name);
    return packs;
}

Extent PackWriter::append(const codec::FrameBody& frame)
{
    if (!file_) {
        const Repository& repository = set_.repository();
        number_ = set_.take_number();
        opened_ = monotonic_milliseconds();
        const std::string path = pack_path(set_.stanza(), set_.label(), number_);
        file_ = repository.storage().create(path);
        writer_ = std::make_unique<codec::ObjectWriter>(
            *file_, codec::ObjectIdentity{codec::ObjectKind::pack, path}, repository.cipher());
    }
    const codec::FramePlace place = writer_->append(frame);
    return {number_, place.offset, place.length, 0, frame.raw_size};
}

bool PackWriter::is_full() const
{
    return file_ && (writer_->size() >= set_.pack_size() ||
                     monotonic_milliseconds() - opened_ >= kPackMilliseconds);
}

std::optional<std::uint32_t> PackWriter::finish()
{
    if (!file_) {
        return std::nullopt;
    }
    writer_->finish();
    file_->commit();
    set_.add_finished(number_, writer_->size());
    writer_.reset();
    file_.reset();
    return number_;
}

struct PackReader::OpenPack : NonCopyable {
    OpenPack(const Repository& repository, const std::string& path)
        : source(repository.storage().open(path)),
          reader(*source, {codec::ObjectKind::pack, path}, repository.cipher())
    {
    }

    std::unique_ptr<RandomSource> source;
    codec::ObjectReader reader;
};

struct PackReader::Frame {
    Extent place;
    Buffer raw;

    bool has(const Extent& extent) const
    {
        return place.pack == extent.pack && place.offset == extent.offset &&
               place.length == extent.length;
    }
};

PackReader::PackReader(const Repository& repository,
                       std::string stanza,
                       const std::vector<PackInfo>& packs,
                       std::size_t cache_size)
    : repository_(repository), stanza_(std::move(stanza)), packs_(packs), cache_size_(cache_size)
{
}

PackReader::~PackReader() = default;

PackReader::OpenPack& PackReader::open(std::uint32_t pack)
{
    // Work goes through the packs in order: a few at a time are enough, and file descriptors are
    // few.
    constexpr std::size_t kOpenPacks = 8;
    if (const auto known = open_.find(pack); known != open_.end()) {
        return *known->second;
    }
    if (open_.size() >= kOpenPacks) {
        open_.erase(open_.begin());
    }
    if (pack >= packs_.size()) {
        raise(ErrorCode::format, "the manifest has no pack {}, but something lies in it", pack);
    }
    const PackName& name = packs_[pack].name;
    const std::string path = pack_path(stanza_, name.label, name.number);
    auto opened = std::make_unique<OpenPack>(repository_, path);
    if (opened->source->size() != packs_[pack].size) {
        raise(ErrorCode::checksum,
              "'{}' in the repository is damaged: it has {} bytes instead of {}",
              path,
              opened->source->size(),
              packs_[pack].size);
    }
    return *open_.emplace(pack, std::move(opened)).first->second;
}

// A frame's memory is used again, so that the cache settles without allocating.
std::unique_ptr<PackReader::Frame> PackReader::take_room()
{
    std::unique_ptr<Frame> room;
    while ((cached_ > cache_size_ || frames_.size() >= kCachedFrames) && !frames_.empty()) {
        room = std::move(frames_.front());
        frames_.erase(frames_.begin());
        cached_ -= room->raw.size();
    }
    if (!room) {
        room = std::make_unique<Frame>();
    }
    return room;
}

PackReader::Frame& PackReader::read_frame(const Extent& extent)
{
    const auto known =
        std::ranges::find_if(frames_, [&](const auto& frame) { return frame->has(extent); });
    if (known != frames_.end()) {
        std::rotate(known, known + 1, frames_.end());
        return *frames_.back();
    }
    std::unique_ptr<Frame> frame = take_room();
    open(extent.pack).reader.read({extent.offset, extent.length}, frame->raw);
    frame->place = extent;
    cached_ += frame->raw.size();
    return *frames_.emplace_back(std::move(frame));
}

ByteView PackReader::read(const Extent& extent)
{
    const Frame& frame = read_frame(extent);
    if (std::uint64_t{extent.position} + extent.size > frame.raw.size()) {
        raise(ErrorCode::format,
              "a frame of pack {} of backup {} is too short",
              packs_.at(extent.pack).name.number,
              packs_.at(extent.pack).name.label);
    }
    return frame.raw.view().subspan(extent.position, extent.size);
}

bool PackReader::holds(const Extent& extent) const
{
    return std::ranges::any_of(frames_, [&](const auto& frame) { return frame->has(extent); });
}

void PackReader::expect(const Extent& first, const Extent& last)
{
    const std::uint64_t end = last.offset + last.length;
    open(first.pack).source->expect(first.offset, end - first.offset);
}

std::uint64_t PackReader::read_over(std::uint32_t pack)
{
    return open(pack).source->read_over();
}

} // namespace pgstrata::repository
