// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/timeline_history.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/postgres/wal_times.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/repository.hpp"
#include "pgstrata/repository/wal_digest.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pgstrata::repository {

// The objects in the archive for one WAL file: none, one, or several with different contents (which
// is an error for the caller to judge).
std::vector<WalObjectName> find_wal(const Repository& repository,
                                    std::string_view stanza,
                                    ArchiveId id,
                                    std::string_view wal_name);

// The whole plain file. `limit` bounds it. Checks frames and then the digest in the name:
// Error(checksum).
Buffer read_wal(const Repository& repository,
                std::string_view stanza,
                ArchiveId id,
                const WalObjectName& name,
                std::size_t limit);

// The same for handing a file out: it goes to `out` frame by frame as it is read and nothing holds
// the whole. A segment must begin with the header of `cluster` and of its own name; contents whose
// frames carry no check of their own are held against the digest in the name. What was written when
// it throws is not the file.
void stream_wal(const Repository& repository,
                std::string_view stanza,
                const Cluster& cluster,
                const WalObjectName& name,
                Sink& out);

// What an archived segment notes of itself when it is stored: the times of its transactions' ends.
// Objects without cipher and compression are the plain file and note nothing.
codec::FrameBody note_wal_times(const postgres::WalTimes& times, Buffer& scratch);
// Reads that note, not the segment; nullopt where there is none. Throws what damage throws.
std::optional<postgres::WalTimes> read_wal_times(const Repository& repository,
                                                 std::string_view stanza,
                                                 ArchiveId id,
                                                 const WalObjectName& name);

// Reads a file of the archive to its end and proves that it is what its name says: its frames, its
// digest, for a segment its size and the cluster in its header, and for the history of a timeline
// its lines. Throws Error(file_missing), Error(format) for a history that says nothing,
// Error(file_invalid) for another size, Error(checksum) and Error(crypto) for damage,
// Error(archive_mismatch) for WAL of another cluster or place.
void check_wal(const Repository& repository,
               std::string_view stanza,
               const Cluster& cluster,
               const WalObjectName& name);

// Proves of a segment only that its stored bytes are unchanged and give the right size, without
// decompressing; throws as check_wal() does, which is called for all other files and for those that
// are stored as they are.
void check_stored_wal(const Repository& repository,
                      std::string_view stanza,
                      const Cluster& cluster,
                      const WalObjectName& name);

struct WalRange {
    std::string first; // names of segments, empty when there are none
    std::string last;
};
// The lowest and the highest segment name in the archive.
WalRange wal_range(const Repository& repository, std::string_view stanza, ArchiveId id);

// The names of all segments (24 digits, each once) that are at least `from`, ascending; `visit`
// returns false to stop.
void list_segments(const Repository& repository,
                   std::string_view stanza,
                   ArchiveId id,
                   std::string_view from,
                   const std::function<bool(const std::string&)>& visit);

// The names of all segments, ascending, each once: reads several directories at a time.
std::vector<std::string>
list_all_segments(const Repository& repository, std::string_view stanza, ArchiveId id);

// The timelines that have a history file in the archive, ascending.
std::vector<postgres::Timeline>
list_timelines(const Repository& repository, std::string_view stanza, ArchiveId id);
// nullopt when it is not there.
std::optional<postgres::TimelineHistory> read_timeline_history(const Repository& repository,
                                                               std::string_view stanza,
                                                               ArchiveId id,
                                                               postgres::Timeline timeline);

} // namespace pgstrata::repository
