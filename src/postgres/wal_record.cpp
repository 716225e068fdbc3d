// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/wal_record.hpp"

#include "postgres/wal_layout.hpp"

#include "pgstrata/postgres/crc32c.hpp"
#include "pgstrata/postgres/version.hpp"
#include "pgstrata/util/error.hpp"

#include <algorithm>
#include <bit>

namespace pgstrata::postgres {

namespace {

constexpr std::size_t kCrcOffset = 20;
constexpr std::uint32_t kMaxRecordSize = 1020U << 20U;

constexpr std::uint16_t kAllPageFlags = 0xF;

constexpr std::uint8_t kXlogManager = 0;
constexpr std::uint8_t kOperationMask = 0xF0;
constexpr std::uint8_t kSwitchOperation = 0x40;
constexpr std::uint8_t kRestorePointOperation = 0x70;

bool is_switch(const WalRecord& record) noexcept
{
    return record.resource_manager == kXlogManager &&
           (record.info & kOperationMask) == kSwitchOperation;
}

// Reads the item headers of a record, whose lengths must add up to its body.
class BodyParser {
public:
    BodyParser(ByteView body, unsigned major) : rest_(body), major_(major) {}

    // nullopt when they do not.
    std::optional<ByteView> main_data()
    {
        while (is_sound_ && !is_last_ && rest_.size() > announced_) {
            read_item();
        }
        if (!is_sound_ || rest_.size() != announced_) {
            return std::nullopt;
        }
        return rest_.last(main_size_);
    }

private:
    template <typename T>
    T take() noexcept
    {
        if (rest_.size() < sizeof(T)) {
            is_sound_ = false;
            return 0;
        }
        const T value = load<T>(rest_.data());
        rest_ = rest_.subspan(sizeof(T));
        return value;
    }

    void read_item() noexcept
    {
        constexpr std::uint8_t kMaxBlock = 32;
        const auto id = take<std::uint8_t>();
        if (id == wal::kShortMainData) {
            end_with(take<std::uint8_t>());
        } else if (id == wal::kLongMainData) {
            end_with(take<std::uint32_t>());
        } else if (id == wal::kOrigin) {
            take<std::uint16_t>();
        } else if (id == wal::kTopTransaction && major_ >= 14) {
            take<std::uint32_t>();
        } else if (id <= kMaxBlock) {
            read_block();
        } else {
            is_sound_ = false;
        }
    }

    void end_with(std::uint32_t main_size) noexcept
    {
        main_size_ = main_size;
        announced_ += main_size;
        is_last_ = true;
    }

    void read_block() noexcept
    {
        constexpr std::uint8_t kHasImage = 0x10;
        constexpr std::uint8_t kSameRelation = 0x80;
        const auto flags = take<std::uint8_t>();
        announced_ += take<std::uint16_t>();
        if ((flags & kHasImage) != 0) {
            read_image();
        }
        if ((flags & kSameRelation) == 0) {
            take<std::uint64_t>(); // tablespace and database
            take<std::uint32_t>(); // relation
        }
        take<std::uint32_t>(); // block
    }

    void read_image() noexcept
    {
        constexpr std::uint8_t kHasHole = 1;
        const std::uint8_t compressed = major_ >= 15 ? 4 | 8 | 16 : 2;
        announced_ += take<std::uint16_t>();
        take<std::uint16_t>(); // where the hole begins
        const auto image = take<std::uint8_t>();
        if ((image & kHasHole) != 0 && (image & compressed) != 0) {
            take<std::uint16_t>(); // how long it is
        }
    }

    ByteView rest_;
    unsigned major_;
    std::uint64_t announced_ = 0; // data that follows the item headers
    std::size_t main_size_ = 0;
    bool is_sound_ = true;
    bool is_last_ = false;
};

const VersionTraits& version_of(unsigned major)
{
    const VersionTraits* version = find_version(major);
    if (version == nullptr) {
        raise(ErrorCode::version_not_supported, "PostgreSQL {} is not supported", major);
    }
    return *version;
}

} // namespace

struct WalReader::State {
    struct Page {
        ByteView bytes;
        Lsn address;
        std::uint16_t flags = 0;
        std::uint32_t continued = 0; // bytes of an earlier record that are still to come
        std::size_t at = 0;
    };

    State(unsigned major, std::uint32_t size) : version(version_of(major)), segment_size(size) {}

    bool accept_segment(WalSegment segment, ByteView bytes);
    bool read_pages(ByteView bytes, const Visitor& visit);
    bool read_page_header(Page& page);
    bool begin_page(Page& page, const Visitor& visit);
    bool continue_record(Page& page, const Visitor& visit);
    bool read_record(Page& page, const Visitor& visit);
    bool finish_record(ByteView bytes, Lsn record_end, const Visitor& visit);

    const VersionTraits& version;
    std::uint32_t segment_size;

    std::optional<WalSegment> last_segment;
    std::uint64_t system_identifier = 0;
    std::uint32_t page_size = 0;
    Timeline page_timeline = 0;
    bool is_first_page = true;
    bool is_switched = false; // nothing more in this segment
    bool has_ended = false;

    // The record that is not complete yet.
    Buffer partial;
    std::uint32_t awaited = 0;     // bytes of it that are still to come
    bool is_partial_known = false; // false: begun before the first segment, to be passed over

    Lsn record_start;
    std::optional<Lsn> previous;
    Lsn end;
};

// Checks the fields that only the first page of a segment has.
bool WalReader::State::accept_segment(WalSegment segment, ByteView bytes)
{
    if (bytes.size() != segment_size) {
        return false;
    }
    const auto identifier = load<std::uint64_t>(bytes.data() + 24);
    const auto stated_size = load<std::uint32_t>(bytes.data() + 32);
    const auto stated_page_size = load<std::uint32_t>(bytes.data() + 36);
    if (!last_segment) {
        constexpr std::uint32_t kLeast = 1024;
        constexpr std::uint32_t kMost = 65536;
        if (!std::has_single_bit(stated_page_size) || stated_page_size < kLeast ||
            stated_page_size > kMost) {
            return false;
        }
        system_identifier = identifier;
        page_size = stated_page_size;
    } else if (segment.number != last_segment->number + 1 ||
               segment.timeline < last_segment->timeline) {
        return false;
    }
    last_segment = segment;
    return identifier == system_identifier && stated_size == segment_size &&
           stated_page_size == page_size;
}

bool WalReader::State::read_pages(ByteView bytes, const Visitor& visit)
{
    const Lsn start = start_of(*last_segment, segment_size);
    is_switched = false;
    for (std::size_t offset = 0; offset < bytes.size() && !is_switched; offset += page_size) {
        Page page;
        page.bytes = bytes.subspan(offset, page_size);
        page.address = Lsn{start.value + offset};
        if (!read_page_header(page) || !begin_page(page, visit)) {
            return false;
        }
        while (page.at < page_size && !is_switched) {
            if (!read_record(page, visit)) {
                return false;
            }
        }
    }
    return true;
}

bool WalReader::State::read_page_header(Page& page)
{
    const std::byte* const bytes = page.bytes.data();
    const auto timeline = load<std::uint32_t>(bytes + 4);
    page.flags = load<std::uint16_t>(bytes + 2);
    page.continued = load<std::uint32_t>(bytes + 16);
    const bool is_first = page.address.value % segment_size == 0;
    page.at = is_first ? kWalHeaderSize : wal::kShortPageHeaderSize;
    if (load<std::uint16_t>(bytes) != version.wal_magic || (page.flags & ~kAllPageFlags) != 0 ||
        ((page.flags & wal::kLongHeaderFlag) != 0) != is_first ||
        load<std::uint64_t>(bytes + 8) != page.address.value) {
        return false;
    }
    // The first segment of a timeline begins with a copy of the old one's pages.
    if (timeline < page_timeline || timeline > last_segment->timeline) {
        return false;
    }
    page_timeline = timeline;
    return true;
}

// Settles what a page begins with: the rest of a record, a new beginning after a crash, or a
// record.
bool WalReader::State::begin_page(Page& page, const Visitor& visit)
{
    const bool is_continued = (page.flags & wal::kContinuationFlag) != 0;
    if (is_first_page && is_continued) {
        awaited = page.continued;
        is_partial_known = false;
    } else if ((page.flags & version.wal_overwrite_flag) != 0) {
        awaited = 0;
    }
    is_first_page = false;
    if (awaited == 0) {
        return !is_continued;
    }
    return is_continued && page.continued == awaited && continue_record(page, visit);
}

bool WalReader::State::continue_record(Page& page, const Visitor& visit)
{
    const std::size_t size = std::min<std::size_t>(awaited, page_size - page.at);
    if (is_partial_known) {
        partial.append(page.bytes.subspan(page.at, size));
    }
    awaited -= static_cast<std::uint32_t>(size);
    page.at = wal::align(page.at + size);
    if (awaited != 0 || !is_partial_known) {
        return true;
    }
    return finish_record(partial, Lsn{page.address.value + page.at}, visit);
}

bool WalReader::State::read_record(Page& page, const Visitor& visit)
{
    const ByteView rest = page.bytes.subspan(page.at);
    const auto total = load<std::uint32_t>(rest.data());
    if (total < wal::kRecordHeaderSize || total > kMaxRecordSize) {
        return false;
    }
    record_start = Lsn{page.address.value + page.at};
    if (total > rest.size()) {
        partial.clear();
        partial.append(rest);
        awaited = total - static_cast<std::uint32_t>(rest.size());
        is_partial_known = true;
        page.at = page_size;
        return true;
    }
    page.at = wal::align(page.at + total);
    return finish_record(rest.first(total), Lsn{page.address.value + page.at}, visit);
}

bool WalReader::State::finish_record(ByteView bytes, Lsn record_end, const Visitor& visit)
{
    WalRecord record;
    record.start = record_start;
    record.end = record_end;
    record.xid = load<std::uint32_t>(bytes.data() + 4);
    record.previous = Lsn{load<std::uint64_t>(bytes.data() + 8)};
    record.info = load<std::uint8_t>(bytes.data() + 16);
    record.resource_manager = load<std::uint8_t>(bytes.data() + 17);
    record.body = bytes.subspan(wal::kRecordHeaderSize);
    if (previous ? record.previous != *previous : record.previous >= record.start) {
        return false;
    }
    if (load<std::uint32_t>(bytes.data() + kCrcOffset) !=
        crc32c(bytes.first(kCrcOffset), crc32c(record.body))) {
        return false;
    }
    const auto main_data = BodyParser(record.body, version.major).main_data();
    if (!main_data) {
        return false;
    }
    record.main_data = *main_data;
    previous = record.start;
    is_switched = is_switch(record);
    end =
        is_switched ? Lsn{start_of(*last_segment, segment_size).value + segment_size} : record.end;
    visit(record);
    return true;
}

WalReader::WalReader(unsigned major, std::uint32_t segment_size)
    : state_(std::make_unique<State>(major, segment_size))
{
    if (!is_wal_segment_size(segment_size)) {
        raise(ErrorCode::format, "a WAL segment cannot have {} bytes", segment_size);
    }
}

WalReader::~WalReader() = default;

bool WalReader::feed(WalSegment segment, ByteView bytes, const Visitor& visit)
{
    if (!state_->has_ended) {
        state_->has_ended =
            !state_->accept_segment(segment, bytes) || !state_->read_pages(bytes, visit);
    }
    return !state_->has_ended;
}

Lsn WalReader::end() const noexcept
{
    return state_->end;
}

std::optional<std::int64_t> transaction_end_time(const WalRecord& record) noexcept
{
    constexpr std::uint8_t kTransactionMask = 0x70;
    constexpr std::uint8_t kCommit = 0x00;
    constexpr std::uint8_t kAbort = 0x20;
    constexpr std::uint8_t kCommitPrepared = 0x30;
    constexpr std::uint8_t kAbortPrepared = 0x40;
    constexpr std::int64_t kEpochMicroseconds = 946'684'800'000'000; // 2000-01-01 UTC
    const std::uint8_t operation = record.info & kTransactionMask;
    const bool is_end = operation == kCommit || operation == kAbort ||
                        operation == kCommitPrepared || operation == kAbortPrepared;
    if (record.resource_manager != wal::kTransactionManager || !is_end ||
        record.main_data.size() < sizeof(std::int64_t)) {
        return std::nullopt;
    }
    std::int64_t time = 0;
    if (__builtin_add_overflow(
            load<std::int64_t>(record.main_data.data()), kEpochMicroseconds, &time)) {
        return std::nullopt;
    }
    return time;
}

std::string_view restore_point_name(const WalRecord& record) noexcept
{
    constexpr std::size_t kTimeSize = 8;
    constexpr std::size_t kNameSize = 64;
    if (record.resource_manager != kXlogManager ||
        (record.info & kOperationMask) != kRestorePointOperation ||
        record.main_data.size() < kTimeSize + kNameSize) {
        return {};
    }
    const std::string_view name = as_text(record.main_data.subspan(kTimeSize, kNameSize));
    return name.substr(0, name.find('\0'));
}

} // namespace pgstrata::postgres
