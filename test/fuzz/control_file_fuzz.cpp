// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/postgres/crc32c.hpp"

using namespace pgstrata;
using namespace pgstrata::postgres;

namespace {

void parse(ByteView bytes)
{
    test::survives([&] {
        const ControlFile control = parse_control_file(bytes);
        test::require(control.page_size != 0 && control.wal_segment_size != 0);
        test::require(parse_control_file(poison_control_file(bytes)).checkpoint ==
                      kPoisonCheckpoint);
    });
    test::survives([&] { parse_control_file(bytes, 17); });
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const ByteView bytes = test::input_bytes(data, size);
    parse(bytes);
    // Behind the CRC, too: it keeps nobody out who can write the file.
    for (const VersionTraits& version : known_versions()) {
        const std::size_t at = version.control_crc_offset;
        if (size >= at + sizeof(std::uint32_t)) {
            Buffer repaired;
            repaired.append(bytes);
            store(repaired.data() + at, crc32c(bytes.first(at)));
            parse(repaired);
        }
    }
    return 0;
}
