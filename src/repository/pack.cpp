// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/pack.hpp"

#include "pgstrata/repository/layout.hpp"

#include <algorithm>

namespace pgstrata::repository {

PackSet::PackSet(const Repository& repository,
                 std::string stanza,
                 std::string label,
                 std::uint64_t pack_size)
    : repository_(repository), stanza_(std::move(stanza)), label_(std::move(label)),
      pack_size_(pack_size)
{
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
        const std::string path = pack_path(set_.stanza(), set_.label(), number_);
        file_ = repository.storage().create(path);
        writer_ = std::make_unique<codec::ObjectWriter>(
            *file_, codec::ObjectIdentity{codec::ObjectKind::pack, path}, repository.cipher());
    }
    const codec::FramePlace place = writer_->append(frame);
    const Extent extent{number_, place.offset, place.length, 0, frame.raw_size};
    if (writer_->size() >= set_.pack_size()) {
        finish();
    }
    return extent;
}

void PackWriter::finish()
{
    if (!file_) {
        return;
    }
    writer_->finish();
    file_->commit();
    set_.add_finished(number_, writer_->size());
    writer_.reset();
    file_.reset();
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

PackReader::PackReader(const Repository& repository,
                       std::string stanza,
                       const std::vector<PackInfo>& packs)
    : repository_(repository), stanza_(std::move(stanza)), packs_(packs)
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

ByteView PackReader::read(const Extent& extent)
{
    const bool is_at_hand = frame_.length != 0 && extent.pack == frame_.pack &&
                            extent.offset == frame_.offset && extent.length == frame_.length;
    if (!is_at_hand) {
        frame_.length = 0;
        open(extent.pack).reader.read({extent.offset, extent.length}, raw_);
        frame_ = extent;
    }
    if (std::uint64_t{extent.position} + extent.size > raw_.size()) {
        raise(ErrorCode::format,
              "a frame of pack {} of backup {} is too short",
              packs_.at(extent.pack).name.number,
              packs_.at(extent.pack).name.label);
    }
    return raw_.view().subspan(extent.position, extent.size);
}

} // namespace pgstrata::repository
