// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/wal_segment.hpp"

#include <string>

namespace pgstrata::engine {

struct ServerWal {
    std::string data_directory;
    unsigned major = 0;
    std::uint32_t segment_size = 0;
    std::uint64_t system_identifier = 0;
};

// A segment that a server is still receiving, as it is in its pg_wal. Throws Error(file_missing),
// and Error(format) when its records, as far as they come before `stop`, are not all there.
Buffer read_server_wal(const ServerWal& server, postgres::WalSegment segment, postgres::Lsn stop);

} // namespace pgstrata::engine
