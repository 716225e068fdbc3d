// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/postgres/wal_record.hpp"
#include "pgstrata/postgres/wal_times.hpp"

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::postgres;

// The beginning of a segment, whose rest is zero, and the same again as the next one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    constexpr std::uint32_t kSegmentSize = 1U << 20U;
    Buffer segment(kSegmentSize);
    std::memset(segment.data(), 0, segment.size());
    const std::size_t used = std::min<std::size_t>(size, kSegmentSize);
    if (used != 0) {
        std::memcpy(segment.data(), data, used);
    }
    for (const unsigned major : {13U, 15U, 18U}) {
        test::survives([&] {
            WalReader reader(major, kSegmentSize);
            const auto visit = [](const WalRecord& record) {
                test::require(record.start < record.end);
                transaction_end_time(record);
                restore_point_name(record);
            };
            reader.feed({1, 3}, segment, visit);
            reader.feed({1, 4}, segment, visit);
        });
    }
    test::survives([&] {
        WalTimeScan scan;
        scan.feed(test::input_bytes(data, size));
        scan.feed(segment);
        test::require(!scan.times() || scan.times()->first <= scan.times()->last);
    });
    return 0;
}
