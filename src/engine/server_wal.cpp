// SPDX-License-Identifier: PostgreSQL
#include "engine/server_wal.hpp"

#include "pgstrata/postgres/wal_record.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"

#include <fcntl.h>

#include <algorithm>

namespace pgstrata::engine {

Buffer read_server_wal(const ServerWal& server, postgres::WalSegment segment, postgres::Lsn stop)
{
    const std::string name = postgres::to_string(segment, server.segment_size);
    const std::string path = join_path(server.data_directory, "pg_wal/" + name);
    const FileDescriptor file = open_file(path, O_RDONLY);
    Buffer bytes(server.segment_size);
    if (read_fully(file.get(), bytes.span(), path) != bytes.size()) {
        raise(ErrorCode::format, "WAL segment '{}' is shorter than a segment", path);
    }
    const postgres::WalHeader header = postgres::parse_wal_header(bytes);
    if (header.system_identifier != server.system_identifier) {
        raise(ErrorCode::format, "WAL segment '{}' is of another cluster", path);
    }
    postgres::WalReader reader(server.major, server.segment_size);
    reader.feed(segment, bytes, [](const postgres::WalRecord&) {});
    const postgres::Lsn end_of_segment{postgres::start_of(segment, server.segment_size).value +
                                       server.segment_size};
    // The last record of a segment may go on in the next one; nothing of it is known here.
    const bool goes_on = stop > end_of_segment;
    if (!goes_on && reader.end() < stop) {
        raise(ErrorCode::format,
              "WAL segment '{}' has records up to {} only, the backup ends at {}",
              path,
              postgres::to_string(reader.end()),
              postgres::to_string(stop));
    }
    return bytes;
}

} // namespace pgstrata::engine
