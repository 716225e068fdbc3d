// SPDX-License-Identifier: PostgreSQL
#include "storage/prefetcher.hpp"

#include <algorithm>
#include <cstring>
#include <system_error>

namespace pgstrata::storage {

namespace {

// One is read and one is on its way.
constexpr std::size_t kMostStretches = 2;
constexpr std::size_t kMostBlocks = 2;

// At once in the thread that waits for it where no other can be started.
template <typename Work>
auto start(const Work& work)
{
    try {
        return std::async(std::launch::async, work);
    } catch (const std::system_error&) {
        return std::async(std::launch::deferred, work);
    }
}

} // namespace

std::size_t FetchedBlock::copy(std::uint64_t at, MutableBytes out) const
{
    if (!has(at)) {
        return 0;
    }
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), end() - at));
    std::memcpy(out.data(), bytes.data() + (at - offset), size);
    return size;
}

void Prefetcher::expect(std::uint64_t begin, std::uint64_t end)
{
    const std::lock_guard lock(mutex_);
    const auto is_there = [&](const Stretch& stretch) { return stretch.has(begin); };
    if (longest_ == 0 || begin >= end || std::ranges::any_of(stretches_, is_there)) {
        return;
    }
    if (stretches_.size() == kMostStretches) {
        auto oldest = std::ranges::find(stretches_, true, &Stretch::has_been_read);
        oldest = oldest == stretches_.end() ? stretches_.begin() : oldest;
        forget(*oldest);
        stretches_.erase(oldest);
    }
    stretches_.push_back({.begin = begin, .next = begin, .end = end});
    fetch_more();
}

std::size_t Prefetcher::read(std::uint64_t at, MutableBytes out)
{
    const auto coming = find(at);
    if (!coming.valid()) {
        return 0;
    }
    const std::shared_ptr<const FetchedBlock>& block = coming.get();
    const std::size_t size = block->copy(at, out);
    if (at + size == block->end()) {
        note_end(at + size);
    }
    return size;
}

// None where the bytes were not expected.
std::shared_future<std::shared_ptr<const FetchedBlock>> Prefetcher::find(std::uint64_t at)
{
    const std::lock_guard lock(mutex_);
    const auto stretch =
        std::ranges::find_if(stretches_, [&](const Stretch& each) { return each.has(at); });
    if (stretch == stretches_.end()) {
        return {};
    }
    stretch->has_been_read = true;
    const auto holds = [&](const Coming& block) { return at >= block.begin && at < block.end; };
    if (const auto known = std::ranges::find_if(blocks_, holds); known != blocks_.end()) {
        return known->block;
    }
    // Its turn has not come, as others were expected and not read; or it has been read.
    if (at < stretch->next) {
        return {};
    }
    if (blocks_.size() == kMostBlocks) {
        blocks_.erase(blocks_.begin());
    }
    stretch->next = at;
    fetch_from(*stretch);
    return blocks_.back().block;
}

void Prefetcher::fetch_more()
{
    for (Stretch& stretch : stretches_) {
        while (blocks_.size() < kMostBlocks && stretch.next < stretch.end) {
            fetch_from(stretch);
        }
    }
}

void Prefetcher::fetch_from(Stretch& stretch)
{
    const std::uint64_t begin = stretch.next;
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(longest_, stretch.end - begin));
    stretch.next += size;
    blocks_.push_back({begin, stretch.next, start([this, begin, size] {
                                                auto block = std::make_shared<FetchedBlock>();
                                                block->offset = begin;
                                                block->bytes.resize(size);
                                                fetch_(begin, block->bytes.span());
                                                return std::shared_ptr<const FetchedBlock>(
                                                    std::move(block));
                                            }).share()});
}

void Prefetcher::forget(const Stretch& stretch)
{
    std::erase_if(blocks_, [&](const Coming& block) { return stretch.has(block.begin); });
}

void Prefetcher::note_end(std::uint64_t end)
{
    const std::lock_guard lock(mutex_);
    std::erase_if(blocks_, [&](const Coming& block) { return block.end == end; });
    std::erase_if(stretches_, [&](const Stretch& stretch) { return stretch.end == end; });
    fetch_more();
}

} // namespace pgstrata::storage
