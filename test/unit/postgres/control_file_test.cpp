// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/postgres/crc32c.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <filesystem>

using namespace pgstrata;
using namespace pgstrata::postgres;
using pgstrata::test::HasCode;
using pgstrata::test::TemporaryDirectory;

namespace {

struct Release {
    unsigned major;
    std::uint32_t control_version;
    std::uint32_t catalog_version;
    std::size_t crc_offset;
};

constexpr Release kReleases[] = {{13, 1300, 202007201, 288},
                                 {14, 1300, 202107181, 288},
                                 {15, 1300, 202209061, 288},
                                 {16, 1300, 202307071, 288},
                                 {17, 1700, 202406281, 288},
                                 {18, 1800, 202506291, 292}};

constexpr Release kRelease15 = kReleases[2];

void fix_crc(Buffer& bytes, const Release& release)
{
    store(bytes.data() + release.crc_offset, crc32c(bytes.view().first(release.crc_offset)));
}

// A control file as a server of that release writes it.
Buffer make_control_file(const Release& release)
{
    Buffer bytes(kControlFileSize);
    std::memset(bytes.data(), 0, bytes.size());
    const auto u32 = [&](std::size_t offset, std::uint32_t value) {
        store(bytes.data() + offset, value);
    };
    const auto u64 = [&](std::size_t offset, std::uint64_t value) {
        store(bytes.data() + offset, value);
    };
    u64(0, 7312345678901234567);
    u32(8, release.control_version);
    u32(12, release.catalog_version);
    u32(16, 6);
    u64(32, 0x3000098);
    u64(40, 0x3000060);
    u32(48, 2);
    u64(104, 1700000000);
    u64(136, 0x4000000);
    u32(144, 1);
    u32(172, 1);
    u32(216, 8192);
    u32(220, 131072);
    u32(224, 8192);
    u32(228, 16U << 20U);
    u32(252, 1);
    fix_crc(bytes, release);
    return bytes;
}

struct CountingClock : Clock {
    void sleep(std::uint64_t milliseconds) const override { slept += milliseconds; }
    mutable std::uint64_t slept = 0;
};

void write_control_file(const std::string& data_directory, ByteView bytes)
{
    std::filesystem::create_directories(data_directory + "/global");
    write_file_durably(data_directory + "/global/pg_control", bytes);
}

} // namespace

TEST_CASE("the control file of every known major is read", "[postgres][control]")
{
    const Release release = GENERATE(from_range(std::begin(kReleases), std::end(kReleases)));
    CAPTURE(release.major);

    const ControlFile control = parse_control_file(make_control_file(release));

    CHECK(control.major == release.major);
    CHECK(control.system_identifier == 7312345678901234567);
    CHECK(control.control_version == release.control_version);
    CHECK(control.catalog_version == release.catalog_version);
    CHECK(control.is_running());
    CHECK(control.checkpoint == Lsn{0x3000098});
    CHECK(control.checkpoint_redo == Lsn{0x3000060});
    CHECK(control.timeline == 2);
    CHECK(control.checkpoint_time == 1700000000);
    CHECK(control.min_recovery_point == Lsn{0x4000000});
    CHECK(control.min_recovery_timeline == 1);
    CHECK(control.page_size == 8192);
    CHECK(control.segment_pages == 131072);
    CHECK(control.wal_page_size == 8192);
    CHECK(control.wal_segment_size == 16U << 20U);
    CHECK(control.data_checksum_version == 1);
    CHECK(control.wal_level == 1);
}

TEST_CASE("only a cluster that was shut down is not running", "[postgres][control]")
{
    for (std::uint32_t state = 0; state <= 6; ++state) {
        ControlFile control;
        control.state = state;
        CHECK(control.is_running() == (state != 1 && state != 2));
    }
}

TEST_CASE("a damaged byte anywhere in the control file is noticed", "[postgres][control][bug-54]")
{
    const Release release = GENERATE(kReleases[0], kReleases[5]);
    const Buffer whole = make_control_file(release);
    for (std::size_t at = 16; at < release.crc_offset + 4; ++at) {
        Buffer damaged;
        damaged.append(whole);
        damaged.data()[at] ^= std::byte{0x10};
        REQUIRE_THROWS_MATCHES(parse_control_file(damaged), Error, HasCode(ErrorCode::checksum));
    }
}

TEST_CASE("a control file of an unknown version is not guessed at", "[postgres][control]")
{
    Buffer bytes = make_control_file({0, 1300, 202207061, 288});

    CHECK_THROWS_MATCHES(
        parse_control_file(bytes), Error, HasCode(ErrorCode::version_not_supported));
    CHECK_THROWS_MATCHES(
        parse_control_file(bytes, 12), Error, HasCode(ErrorCode::version_not_supported));
    CHECK_THROWS_MATCHES(
        poison_control_file(bytes), Error, HasCode(ErrorCode::version_not_supported));
}

TEST_CASE("a forced version chooses the layout", "[postgres][control]")
{
    const Buffer bytes = make_control_file({0, 1399, 209901011, 288});

    const ControlFile control = parse_control_file(bytes, 15);

    CHECK(control.major == 15);
    CHECK(control.control_version == 1399);
    CHECK_THROWS_MATCHES(parse_control_file(bytes, 18), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("a control file cut short is a format error", "[postgres][control][bug-54]")
{
    const Buffer bytes = make_control_file(kRelease15);
    const std::size_t size = GENERATE(
        std::size_t{0}, std::size_t{8}, std::size_t{15}, std::size_t{16}, std::size_t{291});

    CHECK_THROWS_MATCHES(
        parse_control_file(bytes.view().first(size)), Error, HasCode(ErrorCode::format));
    CHECK_NOTHROW(parse_control_file(bytes.view().first(292)));
}

TEST_CASE("sizes no server can have are a format error", "[postgres][control][bug-54]")
{
    struct Case {
        std::size_t offset;
        std::uint32_t value;
    };
    const auto& [offset, value] = GENERATE(Case{216, 0},
                                           Case{216, 8191},
                                           Case{216, 65536},
                                           Case{220, 0},
                                           Case{224, 0},
                                           Case{224, 131072},
                                           Case{228, 0},
                                           Case{228, 3U << 20U});
    CAPTURE(offset, value);
    Buffer bytes = make_control_file(kRelease15);
    store(bytes.data() + offset, value);
    fix_crc(bytes, kRelease15);

    CHECK_THROWS_MATCHES(parse_control_file(bytes), Error, HasCode(ErrorCode::format));
}

TEST_CASE("a poisoned control file is valid but names a checkpoint no WAL has",
          "[postgres][control][bug-37]")
{
    const Release release = GENERATE(from_range(std::begin(kReleases), std::end(kReleases)));
    const Buffer original = make_control_file(release);

    Buffer poisoned = poison_control_file(original);

    CHECK(parse_control_file(poisoned).checkpoint == kPoisonCheckpoint);
    CHECK(parse_control_file(original).checkpoint == Lsn{0x3000098});
    store<std::uint64_t>(poisoned.data() + 32, 0x3000098);
    fix_crc(poisoned, release);
    CHECK(as_text(poisoned) == as_text(original));
}

TEST_CASE("the control file is read from a data directory whole", "[postgres][control]")
{
    const TemporaryDirectory directory;
    const Buffer bytes = make_control_file(kRelease15);
    write_control_file(directory.path(), bytes);

    const ControlFileCopy copy = read_control_file(directory.path());

    CHECK(copy.control.major == 15);
    CHECK(as_text(copy.bytes) == as_text(bytes));
}

TEST_CASE("a missing control file comes with a hint", "[postgres][control]")
{
    const TemporaryDirectory directory;
    try {
        read_control_file(directory.path());
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::file_missing);
        CHECK_FALSE(error.hint().empty());
    }
}

TEST_CASE("a control file with bytes missing at its end is refused", "[postgres][control][bug-37]")
{
    const TemporaryDirectory directory;
    write_control_file(directory.path(), make_control_file(kRelease15).view().first(4096));

    CHECK_THROWS_MATCHES(read_control_file(directory.path()), Error, HasCode(ErrorCode::format));
}

TEST_CASE("a torn control file is read again", "[postgres][control][bug-12]")
{
    unsigned reads = 0;
    const auto read_once = [&] {
        Buffer bytes = make_control_file(kRelease15);
        if (++reads < 4) {
            bytes.data()[40] ^= std::byte{1};
        }
        return bytes;
    };
    const CountingClock clock;

    const ControlFileCopy copy = read_control_file(read_once, clock);

    CHECK(reads == 4);
    CHECK(clock.slept == 30);
    CHECK(copy.control.checkpoint_redo == Lsn{0x3000060});
}

TEST_CASE("a control file that stays torn fails after ten reads", "[postgres][control][bug-12]")
{
    unsigned reads = 0;
    const auto read_once = [&] {
        ++reads;
        Buffer bytes = make_control_file(kRelease15);
        bytes.data()[40] ^= std::byte{1};
        return bytes;
    };

    CHECK_THROWS_MATCHES(
        read_control_file(read_once, CountingClock{}), Error, HasCode(ErrorCode::checksum));
    CHECK(reads == 10);
}
