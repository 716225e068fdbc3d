// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/data_directory.hpp"
#include "pgstrata/postgres/lsn.hpp"
#include "pgstrata/postgres/timeline_history.hpp"
#include "pgstrata/util/bytes.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// WAL summaries (pg_wal/summaries, since PostgreSQL 17): which blocks the WAL between two positions
// changed.
namespace pgstrata::postgres {

// The largest summary we read; one that lists every block of 4 TiB is as large.
inline constexpr std::size_t kWalSummarySizeLimit = 64U << 20U;

// A summary covers [start, end) of one timeline.
struct WalSummaryName {
    Timeline timeline = 0;
    Lsn start;
    Lsn end;
    auto operator<=>(const WalSummaryName&) const = default;
};

// "TTTTTTTTSSSSSSSSSSSSSSSSEEEEEEEEEEEEEEEE.summary" in upper-case hex; nullopt for anything else,
// for timeline 0 and for a stretch without WAL.
std::optional<WalSummaryName> parse_wal_summary_name(std::string_view name) noexcept;
std::string to_string(const WalSummaryName& name);

struct RelationFork {
    std::uint32_t tablespace = 0; // as in RelationFile
    std::uint32_t database = 0;
    std::uint32_t relation = 0; // 0 stands for the whole database
    Fork fork = Fork::main;
    auto operator<=>(const RelationFork&) const = default;
};

inline constexpr std::uint32_t kNoLimitBlock = 0xFFFFFFFF;

// A block has changed when it is listed or not below the limit. The fork was truncated to the limit
// at some time, or made anew (0): a block from there on must never be taken from an earlier copy,
// whether WAL mentions it or not.
struct ForkChanges {
    std::uint32_t limit = kNoLimitBlock;
    std::vector<std::uint32_t> blocks; // ascending, unique; may hold some from the limit on
    bool operator==(const ForkChanges&) const = default;
};

// What the WAL of a range changed, by relation fork. Says nothing useful about free space maps and
// visibility maps: changes of theirs leave no or not every trace in WAL. Takes four bytes for each
// changed block. Once built, any number of threads may read it.
class ChangedBlocks {
public:
    // nullptr: nothing of it was changed. A fork of a whole database (below) may be unlisted.
    const ForkChanges*
    find(std::uint32_t tablespace, std::uint32_t database, std::uint32_t relation, Fork fork) const;
    // The database was made, dropped or copied there: every file of this pair is to be taken in
    // full.
    bool is_whole_database(std::uint32_t tablespace, std::uint32_t database) const;

    // Unite the sets of blocks and take the smaller limit, so the order does not matter.
    void merge(const RelationFork& fork, ForkChanges changes); // blocks ascending and unique
    void merge(ChangedBlocks other);

    const std::map<RelationFork, ForkChanges>& forks() const noexcept { return forks_; }

private:
    std::map<RelationFork, ForkChanges> forks_;
};

// `bytes` is a whole summary file: u32 magic 0x652B137B, entries, an entry of zeros, u32 CRC-32C of
// all before it. An entry is u32 tablespace, database, relation, i32 fork, u32 limit block, u32
// number of chunks, then a u16 for the size of each chunk, then the chunks. Chunk n covers the
// 65536 blocks from n * 65536 on: 4096 u16 are a bitmap (low bits first), fewer are the offsets of
// the blocks in no order. Throws Error(format), naming `what`, for a bad magic or CRC, a fork or
// sizes out of bounds and bytes missing or left over; then `into` is as before.
void merge_wal_summary(ByteView bytes, std::string_view what, ChangedBlocks& into);

// [begin, end) of one timeline.
struct WalRange {
    Timeline timeline = 0;
    Lsn begin;
    Lsn end;
    auto operator<=>(const WalRange&) const = default;
};

// Where a backup and the one it builds on lie in the history of a cluster.
struct BackupPair {
    Timeline prior_timeline = 0;
    Lsn prior_start;
    Lsn prior_stop;
    Timeline timeline = 0; // of the new backup
    Lsn start;
};

struct WalRanges {
    std::vector<WalRange> ranges; // oldest first, none empty
    std::string reason;           // why the prior backup cannot be built on; empty when it can
};

// The WAL from the start of the prior backup to the start of the new one, along the history of the
// new one's timeline (empty will do when both are on the same).
WalRanges find_wal_ranges(const TimelineHistory& history, const BackupPair& pair);

struct WalSummaryChoice {
    std::vector<WalSummaryName> files; // each overlaps a range, in the order of the ranges
    std::optional<WalRange> gap;       // the first stretch without a summary; then `files` is empty
};

// The summaries to read so that every byte of the ranges is covered.
WalSummaryChoice choose_wal_summaries(std::vector<WalSummaryName> available,
                                      const std::vector<WalRange>& ranges);

} // namespace pgstrata::postgres
