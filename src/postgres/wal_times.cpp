// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/wal_times.hpp"

#include "postgres/wal_layout.hpp"

#include "pgstrata/postgres/wal_record.hpp"
#include "pgstrata/postgres/wal_segment.hpp"

#include <algorithm>
#include <bit>

namespace pgstrata::postgres {

namespace {

// The main data of a record without block references, as far as the head has it.
ByteView main_data_of(ByteView head) noexcept
{
    for (std::size_t at = wal::kRecordHeaderSize; at < head.size();) {
        switch (load<std::uint8_t>(head.data() + at)) {
        case wal::kTopTransaction:
            at += 5;
            break;
        case wal::kOrigin:
            at += 3;
            break;
        case wal::kLongMainData:
            return head.subspan(std::min(at + 5, head.size()));
        case wal::kShortMainData:
            return head.subspan(std::min(at + 2, head.size()));
        default:
            return {};
        }
    }
    return {};
}

} // namespace

void WalTimeScan::feed(ByteView piece) noexcept
{
    if (!has_begun_) {
        has_begun_ = true;
        has_ended_ = !begin(piece);
    }
    while (!has_ended_ && !piece.empty()) {
        if (piece.size() < page_size_) {
            has_ended_ = true;
            return;
        }
        scan_page(piece.first(page_size_));
        piece = piece.subspan(page_size_);
    }
}

bool WalTimeScan::begin(ByteView first_page) noexcept
{
    constexpr std::uint32_t kLeast = 1024;
    constexpr std::uint32_t kMost = 65536;
    if (first_page.size() < kWalHeaderSize) {
        return false;
    }
    magic_ = load<std::uint16_t>(first_page.data());
    next_page_ = Lsn{load<std::uint64_t>(first_page.data() + 8)};
    const auto page_size = load<std::uint32_t>(first_page.data() + 36);
    page_size_ = page_size;
    return std::has_single_bit(page_size) && page_size >= kLeast && page_size <= kMost;
}

void WalTimeScan::scan_page(ByteView page) noexcept
{
    const auto flags = load<std::uint16_t>(page.data() + 2);
    if (load<std::uint16_t>(page.data()) != magic_ ||
        load<std::uint64_t>(page.data() + 8) != next_page_.value) {
        has_ended_ = true;
        return;
    }
    next_page_.value += page.size();
    std::size_t at =
        (flags & wal::kLongHeaderFlag) != 0 ? kWalHeaderSize : wal::kShortPageHeaderSize;
    if ((flags & wal::kContinuationFlag) != 0) {
        at = finish_continued(page, at);
    } else {
        head_size_ = 0; // a crash left the record unfinished
    }
    while (at < page.size()) {
        const ByteView rest = page.subspan(at);
        const auto total = load<std::uint32_t>(rest.data());
        if (total < wal::kRecordHeaderSize) {
            has_ended_ = true;
            return;
        }
        const ByteView head = rest.first(std::min({std::size_t{total}, rest.size(), kHeadSize}));
        if (head.size() == total || head.size() == kHeadSize) {
            look_at(head);
        } else {
            std::ranges::copy(head, head_.begin());
            head_size_ = head.size();
        }
        at = wal::align(at + total);
    }
}

std::size_t WalTimeScan::finish_continued(ByteView page, std::size_t at) noexcept
{
    const auto awaited = load<std::uint32_t>(page.data() + 16);
    const std::size_t size = std::min<std::size_t>(awaited, page.size() - at);
    if (head_size_ != 0) {
        const ByteView more = page.subspan(at, std::min(size, kHeadSize - head_size_));
        std::ranges::copy(more, head_.begin() + static_cast<std::ptrdiff_t>(head_size_));
        look_at(ByteView(head_).first(head_size_ + more.size()));
        head_size_ = 0;
    }
    return awaited > size ? page.size() : wal::align(at + size);
}

void WalTimeScan::look_at(ByteView head) noexcept
{
    if (head.size() < wal::kRecordHeaderSize ||
        load<std::uint8_t>(head.data() + 17) != wal::kTransactionManager) {
        return;
    }
    WalRecord record;
    record.info = load<std::uint8_t>(head.data() + 16);
    record.resource_manager = wal::kTransactionManager;
    record.main_data = main_data_of(head);
    if (const auto time = transaction_end_time(record)) {
        times_ = times_ ? WalTimes{std::min(times_->first, *time), std::max(times_->last, *time)}
                        : WalTimes{*time, *time};
    }
}

} // namespace pgstrata::postgres
