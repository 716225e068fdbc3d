// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"
#include "unit/postgres/wal_builder.hpp"

#include "pgstrata/postgres/wal_record.hpp"

using namespace pgstrata;
using namespace pgstrata::postgres;

// The input is a resource manager, an info byte, and what a record has after its header; the
// record is given a right CRC, so that nothing stands before the parsers of its body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size < 2 || size > 100000) {
        return 0;
    }
    test::WalBuilder wal;
    wal.append_body(data[0], data[1], test::input_bytes(data, size).subspan(2));
    wal.append_text("the next record");
    const auto segment = wal.segment(0);
    WalReader reader(15, test::WalBuilder::kSegmentSize);
    test::survives([&] {
        reader.feed({1, test::WalBuilder::kFirstSegment}, segment, [](const WalRecord& record) {
            test::require(record.main_data.size() <= record.body.size());
            transaction_end_time(record);
            const std::string_view name = restore_point_name(record);
            test::require(name.size() <= record.main_data.size());
        });
    });
    return 0;
}
