// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/change_detection.hpp"

#include "pgstrata/postgres/page.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgstrata::engine {

namespace {

using repository::ContentKind;
using repository::ManifestFile;

constexpr UnixNanoseconds kSecond = 1'000'000'000;
// Times come from a clock that ticks: within a tick two writes get the same.
constexpr UnixNanoseconds kTick = kSecond / 50;
// A time without a fraction may come from a filesystem that keeps whole seconds, or every other.
constexpr UnixNanoseconds kCoarseTick = 2 * kSecond;

bool is_safely_older(UnixNanoseconds mtime, UnixNanoseconds copy_time)
{
    const UnixNanoseconds tick = mtime % kSecond == 0 ? kCoarseTick : kTick;
    return mtime < copy_time - tick;
}

// Free space and visibility maps change without WAL that names them.
bool is_told_by_wal(const std::string& path, const postgres::ChangedBlocks& changes)
{
    const auto relation = postgres::parse_relation_path(path);
    return relation &&
           (relation->fork == postgres::Fork::main || relation->fork == postgres::Fork::init) &&
           !changes.is_whole_database(relation->tablespace, relation->database);
}

void add_range(std::vector<PageRange>& ranges, PageRange range)
{
    if (range.begin >= range.end) {
        return;
    }
    if (!ranges.empty() && ranges.back().end >= range.begin) {
        ranges.back().end = std::max(ranges.back().end, range.end);
    } else {
        ranges.push_back(range);
    }
}

} // namespace

FileWork decide_work(const ManifestFile& file, const ManifestFile* prior, const ChangeRules& rules)
{
    if (prior == nullptr || prior->content != file.content) {
        return file.content == ContentKind::empty ? FileWork::refer : FileWork::copy;
    }
    if (file.content == ContentKind::empty) {
        return FileWork::refer;
    }
    if (rules.trust_times && file.size == prior->size && file.mtime == prior->mtime &&
        is_safely_older(file.mtime, rules.prior_copy_time)) {
        return FileWork::refer;
    }
    if (file.content == ContentKind::whole) {
        return file.size == prior->size ? FileWork::compare : FileWork::copy;
    }
    // Of a damaged file all pages are looked at: it may have been mended without a trace in WAL.
    return rules.changes != nullptr && !prior->is_damaged &&
                   is_told_by_wal(file.path, *rules.changes)
               ? FileWork::candidates
               : FileWork::compare;
}

std::string why_times_do_not_count(const repository::ManifestHeader& prior,
                                   const repository::ManifestHeader& now,
                                   UnixNanoseconds clock)
{
    if (prior.timeline != now.timeline) {
        return fmt::format("the timeline was {} and is {}", prior.timeline, now.timeline);
    }
    if (prior.is_online != now.is_online) {
        return "one backup is of a running server and the other of a stopped one";
    }
    if (prior.data_checksum_version != now.data_checksum_version) {
        return "data checksums were switched";
    }
    if (prior.copy_time > clock) {
        return "the clock has gone back";
    }
    return {};
}

std::vector<PageRange> candidate_pages(const Candidates& candidates, PageRange range)
{
    std::uint32_t live_from = std::min(range.end, std::max(range.begin, candidates.prior_pages));
    std::vector<PageRange> ranges;
    if (candidates.changes != nullptr) {
        const std::uint32_t limit = candidates.changes->limit;
        const std::uint32_t limit_page =
            limit > candidates.first_block ? limit - candidates.first_block : 0;
        live_from = std::min(live_from, std::max(range.begin, limit_page));
        const std::vector<std::uint32_t>& blocks = candidates.changes->blocks;
        const std::uint64_t first = std::uint64_t{candidates.first_block} + range.begin;
        for (auto block = std::ranges::lower_bound(blocks, first);
             block != blocks.end() && *block - candidates.first_block < live_from;
             ++block) {
            const std::uint32_t page = *block - candidates.first_block;
            add_range(ranges, {page, page + 1});
        }
    }
    add_range(ranges, {live_from, range.end});
    return ranges;
}

AuditedPage describe_page(ByteView page, UnixNanoseconds file_mtime) noexcept
{
    constexpr std::size_t kUpperOffset = 14;
    constexpr std::uint16_t kSpgistPageId = 0xFF82; // in the last two bytes
    AuditedPage described;
    described.file_mtime = file_mtime;
    described.lsn = postgres::page_lsn(page);
    described.is_new = load<std::uint16_t>(page.data() + kUpperOffset) == 0;
    described.is_spgist =
        load<std::uint16_t>(page.data() + page.size() - sizeof(std::uint16_t)) == kSpgistPageId;
    return described;
}

bool may_differ(const AuditedPage& page, const AuditRules& rules) noexcept
{
    // Zeros are what a truncation leaves: beyond the end, or within when the file has grown again.
    const bool is_cut_off =
        page.is_new && page.lsn.value == 0 && !is_safely_older(page.file_mtime, rules.copy_time);
    if (page.lsn >= rules.start || is_cut_off) {
        return true;
    }
    const bool is_unlogged_hint = !rules.hints_are_logged && !page.is_new;
    return (is_unlogged_hint || page.is_spgist) && page.lsn <= rules.prior_start;
}

} // namespace pgstrata::engine
