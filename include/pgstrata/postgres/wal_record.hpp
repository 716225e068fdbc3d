// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/lsn.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/util/bytes.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace pgstrata::postgres {

// One WAL record as the reader found it; `body` is everything after the 24 header bytes and lives
// until the callback returns.
struct WalRecord {
    Lsn start;
    Lsn end; // the byte after it, aligned to 8
    Lsn previous;
    std::uint32_t xid = 0;
    std::uint8_t resource_manager = 0;
    std::uint8_t info = 0;
    ByteView body;
    ByteView main_data; // the record's own data without block references
};

// Reads the records of consecutive segments, front to back, from the first whole record of the
// first segment on. CRC, previous pointers and page headers are checked; reading ends quietly at
// the first position that is no valid record (the end of WAL), and with a segment that is not the
// one after the last, belongs to an earlier timeline or has another size. A record that a crash
// left unfinished and the server gave up later is dropped. Memory is bounded by the longest record
// (1020 MiB) and never more than was fed. One thread at a time.
class WalReader {
public:
    using Visitor = std::function<void(const WalRecord&)>;

    // Throws Error(version_not_supported) for an unknown major, Error(format) for an impossible
    // size.
    WalReader(unsigned major, std::uint32_t segment_size);
    ~WalReader();
    WalReader(const WalReader&) = delete;
    WalReader& operator=(const WalReader&) = delete;

    // `bytes` is a whole segment. False once the end of WAL was found: later segments are not read.
    bool feed(WalSegment segment, ByteView bytes, const Visitor& visit);
    // The end of the last valid record, which of a switch is that of its segment, as the server has
    // it; zero before there is one.
    Lsn end() const noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// The wall clock time a commit or abort record (prepared ones too) carries, in microseconds since
// the Unix epoch; nullopt for other records and for records too short to hold one.
std::optional<std::int64_t> transaction_end_time(const WalRecord& record) noexcept;
// The name of a restore point record; empty for other records.
std::string_view restore_point_name(const WalRecord& record) noexcept;

} // namespace pgstrata::postgres
