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

const RandomSource& PackSources::source(const PackName& pack)
{
    const std::lock_guard lock(sources_mutex_);
    auto& source = sources_[pack];
    if (!source) {
        source = repository_.storage().open(pack_path(stanza_, pack.label, pack.number));
    }
    return *source;
}

codec::ObjectIdentity PackSources::identity(const PackName& pack) const
{
    return {codec::ObjectKind::pack, pack_path(stanza_, pack.label, pack.number)};
}

} // namespace pgstrata::repository
