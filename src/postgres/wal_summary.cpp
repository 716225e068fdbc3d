// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/wal_summary.hpp"

#include "pgstrata/postgres/crc32c.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/hex.hpp"
#include "pgstrata/util/serial.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <iterator>

namespace pgstrata::postgres {

namespace {

constexpr std::string_view kNameSuffix = ".summary";
constexpr std::size_t kLsnDigits = 16;

constexpr std::uint32_t kMagic = 0x652B137B;
constexpr std::size_t kMagicSize = sizeof kMagic;
constexpr std::size_t kCrcSize = sizeof(std::uint32_t);
constexpr std::size_t kEntrySize = 24;
constexpr std::size_t kSmallestSize = kMagicSize + kEntrySize + kCrcSize;

constexpr std::uint32_t kMostChunks = 65536;
constexpr std::uint32_t kBlocksPerChunk = 65536;
constexpr std::uint32_t kBitsPerWord = 16;
constexpr std::size_t kWordSize = sizeof(std::uint16_t);
constexpr std::size_t kBitmapWords = kBlocksPerChunk / kBitsPerWord;

template <typename Number>
Number parse_hex(std::string_view digits) noexcept
{
    Number number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
    return number;
}

std::uint16_t word_at(ByteView words, std::size_t index) noexcept
{
    return load<std::uint16_t>(words.data() + index * kWordSize);
}

void append_bitmap(ByteView words, std::uint32_t first_block, std::vector<std::uint32_t>& blocks)
{
    for (std::uint32_t i = 0; i < kBitmapWords; ++i) {
        std::uint32_t word = word_at(words, i);
        while (word != 0) {
            const auto bit = static_cast<std::uint32_t>(std::countr_zero(word));
            blocks.push_back(first_block + i * kBitsPerWord + bit);
            word &= word - 1;
        }
    }
}

void append_offsets(ByteView words, std::uint32_t first_block, std::vector<std::uint32_t>& blocks)
{
    const auto old_size = static_cast<std::ptrdiff_t>(blocks.size());
    for (std::size_t i = 0; i < words.size() / kWordSize; ++i) {
        blocks.push_back(first_block + word_at(words, i));
    }
    std::sort(blocks.begin() + old_size, blocks.end());
    blocks.erase(std::unique(blocks.begin() + old_size, blocks.end()), blocks.end());
}

// The blocks of an entry, whose head the reader has passed.
std::vector<std::uint32_t> read_blocks(SerialReader& reader, std::uint32_t chunks)
{
    const ByteView sizes = reader.raw(chunks * kWordSize);
    std::vector<std::uint32_t> blocks;
    for (std::uint32_t i = 0; i < chunks; ++i) {
        const std::size_t words = word_at(sizes, i);
        if (words > kBitmapWords) {
            reader.fail("a chunk is too large");
        }
        const ByteView chunk = reader.raw(words * kWordSize);
        if (words == kBitmapWords) {
            append_bitmap(chunk, i * kBlocksPerChunk, blocks);
        } else {
            append_offsets(chunk, i * kBlocksPerChunk, blocks);
        }
    }
    return blocks;
}

void read_entry(ByteView head, SerialReader& reader, ChangedBlocks& into)
{
    const auto field = [&](std::size_t index) {
        return load<std::uint32_t>(head.data() + index * sizeof(std::uint32_t));
    };
    const std::uint32_t fork = field(3);
    const std::uint32_t chunks = field(5);
    if (fork > static_cast<std::uint32_t>(Fork::init)) {
        reader.fail("an entry is of no known fork");
    }
    if (chunks > kMostChunks) {
        reader.fail("an entry has too many chunks");
    }
    into.merge({.tablespace = field(0),
                .database = field(1),
                .relation = field(2),
                .fork = static_cast<Fork>(fork)},
               {.limit = field(4), .blocks = read_blocks(reader, chunks)});
}

WalRanges unusable(std::string reason)
{
    return {.ranges = {}, .reason = std::move(reason)};
}

// Takes the range over into the choice, or its first gap.
void choose_for_range(const std::vector<WalSummaryName>& sorted,
                      const WalRange& range,
                      WalSummaryChoice& choice)
{
    Lsn covered = range.begin;
    for (const WalSummaryName& file : sorted) {
        if (file.timeline != range.timeline || file.end <= range.begin || file.start >= range.end) {
            continue;
        }
        if (file.start > covered) {
            choice.gap = WalRange{range.timeline, covered, file.start};
            return;
        }
        covered = std::max(covered, file.end);
        choice.files.push_back(file);
    }
    if (covered < range.end) {
        choice.gap = WalRange{range.timeline, covered, range.end};
    }
}

} // namespace

std::optional<WalSummaryName> parse_wal_summary_name(std::string_view name) noexcept
{
    constexpr std::size_t kDigits = kTimelineDigits + 2 * kLsnDigits;
    if (name.size() != kDigits + kNameSuffix.size() || !name.ends_with(kNameSuffix) ||
        !is_upper_hex(name.substr(0, kDigits))) {
        return std::nullopt;
    }
    const WalSummaryName result{
        .timeline = parse_hex<Timeline>(name.substr(0, kTimelineDigits)),
        .start = {parse_hex<std::uint64_t>(name.substr(kTimelineDigits, kLsnDigits))},
        .end = {parse_hex<std::uint64_t>(name.substr(kTimelineDigits + kLsnDigits, kLsnDigits))}};
    if (result.timeline == 0 || result.start >= result.end) {
        return std::nullopt;
    }
    return result;
}

std::string to_string(const WalSummaryName& name)
{
    return fmt::format(
        "{:08X}{:016X}{:016X}{}", name.timeline, name.start.value, name.end.value, kNameSuffix);
}

const ForkChanges* ChangedBlocks::find(std::uint32_t tablespace,
                                       std::uint32_t database,
                                       std::uint32_t relation,
                                       Fork fork) const
{
    const auto found = forks_.find({tablespace, database, relation, fork});
    return found == forks_.end() ? nullptr : &found->second;
}

bool ChangedBlocks::is_whole_database(std::uint32_t tablespace, std::uint32_t database) const
{
    const auto found = forks_.lower_bound({tablespace, database, 0, Fork::main});
    return found != forks_.end() && found->first.tablespace == tablespace &&
           found->first.database == database && found->first.relation == 0;
}

void ChangedBlocks::merge(const RelationFork& fork, ForkChanges changes)
{
    const auto found = forks_.find(fork);
    if (found == forks_.end()) {
        forks_.emplace(fork, std::move(changes));
        return;
    }
    ForkChanges& known = found->second;
    known.limit = std::min(known.limit, changes.limit);
    std::vector<std::uint32_t> all;
    all.reserve(known.blocks.size() + changes.blocks.size());
    std::set_union(known.blocks.begin(),
                   known.blocks.end(),
                   changes.blocks.begin(),
                   changes.blocks.end(),
                   std::back_inserter(all));
    known.blocks = std::move(all);
}

void ChangedBlocks::merge(ChangedBlocks other)
{
    if (forks_.empty()) {
        forks_.swap(other.forks_);
    }
    for (auto& [fork, changes] : other.forks_) {
        merge(fork, std::move(changes));
    }
}

void merge_wal_summary(ByteView bytes, std::string_view what, ChangedBlocks& into)
{
    SerialReader reader(bytes.first(bytes.size() - std::min(bytes.size(), kCrcSize)), what);
    if (bytes.size() < kSmallestSize) {
        reader.fail("too short for a WAL summary");
    }
    if (load<std::uint32_t>(reader.raw(kMagicSize).data()) != kMagic) {
        reader.fail("not a WAL summary");
    }
    const ByteView content = bytes.first(bytes.size() - kCrcSize);
    if (load<std::uint32_t>(bytes.last(kCrcSize).data()) != crc32c(content)) {
        reader.fail("the checksum is wrong");
    }
    ChangedBlocks read;
    for (ByteView head = reader.raw(kEntrySize); !is_zero(head); head = reader.raw(kEntrySize)) {
        read_entry(head, reader, read);
    }
    if (!reader.at_end()) {
        reader.fail("bytes after the end");
    }
    into.merge(std::move(read));
}

WalRanges find_wal_ranges(const TimelineHistory& history, const BackupPair& pair)
{
    if (pair.prior_stop < pair.prior_start || pair.start < pair.prior_stop) {
        return unusable(fmt::format(
            "the prior backup ran from {} to {}, which is not before the start of this one at {}",
            to_string(pair.prior_start),
            to_string(pair.prior_stop),
            to_string(pair.start)));
    }
    auto ancestor = std::find_if(history.begin(), history.end(), [&](const TimelineSwitch& entry) {
        return entry.timeline == pair.prior_timeline;
    });
    if (ancestor == history.end() && pair.prior_timeline != pair.timeline) {
        return unusable(
            fmt::format("timeline {} of the prior backup is not in the history of timeline {}",
                        pair.prior_timeline,
                        pair.timeline));
    }
    if (ancestor != history.end() && ancestor->switch_point < pair.prior_stop) {
        return unusable(
            fmt::format("the prior backup stopped at {}, but timeline {} was left at {}",
                        to_string(pair.prior_stop),
                        pair.prior_timeline,
                        to_string(ancestor->switch_point)));
    }
    // Each stretch of the line begins where the one before ends.
    std::vector<WalRange> stretches;
    Lsn begin = pair.prior_start;
    for (; ancestor != history.end(); ++ancestor) {
        stretches.push_back({ancestor->timeline, begin, ancestor->switch_point});
        begin = ancestor->switch_point;
    }
    stretches.push_back({pair.timeline, begin, pair.start});
    for (const WalRange& stretch : stretches) {
        if (stretch.end < stretch.begin) {
            return unusable(fmt::format(
                "on the way to this backup at {}, timeline {} begins at {} and ends at {}",
                to_string(pair.start),
                stretch.timeline,
                to_string(stretch.begin),
                to_string(stretch.end)));
        }
    }
    std::erase_if(stretches, [](const WalRange& stretch) { return stretch.begin == stretch.end; });
    return {.ranges = std::move(stretches), .reason = {}};
}

WalSummaryChoice choose_wal_summaries(std::vector<WalSummaryName> available,
                                      const std::vector<WalRange>& ranges)
{
    std::sort(available.begin(), available.end());
    WalSummaryChoice choice;
    for (const WalRange& range : ranges) {
        choose_for_range(available, range, choice);
        if (choice.gap) {
            choice.files.clear();
            break;
        }
    }
    return choice;
}

} // namespace pgstrata::postgres
