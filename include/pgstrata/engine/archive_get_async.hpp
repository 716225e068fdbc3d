// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/spool.hpp"
#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/postgres/wal_segment.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The queue of WAL segments that archive-get fetches ahead of recovery, in the folder "in" of the
// spool.
namespace pgstrata::engine {

// "<wal>-<40 hex digest>.<place>": a segment that was fetched and verified. `place` stands for the
// repositories that it came from; a queue of others is not used.
struct QueueEntry {
    std::string wal;
    std::string digest;
    std::string place;
};
std::string to_string(const QueueEntry& entry);
std::optional<QueueEntry> parse_queue_entry(std::string_view name);

// How many segments the queue holds: what fits into `bytes`, but at least 2.
std::size_t queue_length(std::uint64_t bytes, std::uint32_t segment_size);
// The names of `length` segments from `first` on.
std::vector<std::string>
queue_names(postgres::WalSegment first, std::size_t length, std::uint32_t segment_size);

struct QueuePlan {
    std::vector<std::string> fetch;  // segments that are not there, in order
    std::vector<std::string> remove; // files of the folder that are not wanted any more
};
// What makes the files of the folder a queue of `wanted` segments.
QueuePlan plan_queue(const std::vector<std::string>& wanted,
                     const std::vector<std::string>& files,
                     const std::string& place);
// Whether fewer than half of the wanted segments are there.
bool is_queue_low(const std::vector<std::string>& wanted,
                  const std::vector<std::string>& files,
                  const std::string& place);

struct QueueRequest {
    std::string wal;
    std::string place;
    std::string destination;
};
// Moves a segment from the queue to its destination when it is there and good: of the right size,
// with the header of its name and of this cluster, and with the contents that were fetched. One
// that is not good is removed with a WARN, and false returned, as when there is none.
bool take_from_queue(const Spool& spool,
                     const QueueRequest& request,
                     const postgres::ControlFile& control);
// Whether process `pid` is fetching the segment at this moment.
bool is_being_fetched(const Spool& spool, std::string_view wal, std::int64_t pid);

struct FetchRun {
    const Spool& spool;
    std::string place;
    std::vector<std::string> wanted; // segments
    std::size_t workers = 1;
    // Puts a segment at a path and returns its digest; nullopt when it is proved absent. Called by
    // workers.
    std::function<std::optional<std::string>(const std::string& wal, const std::string& path)>
        fetch;
    std::function<void()> check; // called before each segment; ends the run by throwing
};
// Removes what is not wanted and fetches what is missing, in order, up to the first that is absent
// or fails; those get a mark. Returns how many were fetched. The caller holds the archive lock.
std::size_t fetch_ahead(const FetchRun& run);

} // namespace pgstrata::engine
