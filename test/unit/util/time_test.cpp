// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/time.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <ctime>

using namespace pgstrata;

namespace {

// Sets the local time zone for one test.
class TimeZone {
public:
    explicit TimeZone(const char* name)
    {
        const char* old = std::getenv("TZ");
        had_one_ = old != nullptr;
        old_ = had_one_ ? old : "";
        set(name);
    }
    TimeZone(const TimeZone&) = delete;
    TimeZone& operator=(const TimeZone&) = delete;
    ~TimeZone()
    {
        if (had_one_) {
            set(old_.c_str());
        } else {
            ::unsetenv("TZ");
            ::tzset();
        }
    }

private:
    static void set(const char* name)
    {
        ::setenv("TZ", name, 1);
        ::tzset();
    }

    bool had_one_ = false;
    std::string old_;
};

// The rules are given in full, so that no time zone data needs to be installed.
constexpr auto kBerlin = "CET-1CEST,M3.5.0,M10.5.0/3";
constexpr auto kNewYork = "EST5EDT,M3.2.0,M11.1.0";
constexpr auto kKolkata = "IST-5:30";

} // namespace

TEST_CASE("a label's time is UTC wherever the host is", "[util][time][bug-15]")
{
    const TimeZone zone(GENERATE(as<const char*>(), "UTC0", kBerlin, kNewYork, kKolkata));
    const auto [seconds, text] = GENERATE(table<UnixSeconds, std::string>({
        {0, "19700101-000000"},
        {1795226400, "20261121-020000"},
        {951782400, "20000229-000000"},
        {1793494800, "20261101-010000"},
        {4102444799, "20991231-235959"},
    }));
    CHECK(format_label_time(seconds) == text);
    CHECK(parse_label_time(text) == seconds);
}

TEST_CASE("labels of the hour that comes twice in October stay in order", "[util][time][bug-15]")
{
    const TimeZone zone(kBerlin);
    // 2026-10-25 02:30 CEST and, one hour later, 02:30 CET.
    const std::string first = format_label_time(1792888200);
    const std::string second = format_label_time(1792888200 + 3600);
    CHECK(first == "20261025-003000");
    CHECK(second == "20261025-013000");
    CHECK(first < second);
    CHECK(format_local_time(1792888200) == "2026-10-25 02:30:00+02");
    CHECK(format_local_time(1792888200 + 3600) == "2026-10-25 02:30:00+01");
}

TEST_CASE("what is no label time is refused", "[util][time]")
{
    const std::string text = GENERATE("",
                                      "20261121",
                                      "20261121-02000",
                                      "20261121-0200000",
                                      "20261121 020000",
                                      "20261121-020000F",
                                      "2026112a-020000",
                                      "20261301-000000",
                                      "20260229-000000",
                                      "20260100-000000",
                                      "20260431-000000",
                                      "20261121-240000",
                                      "20261121-006000",
                                      "20261121-000060",
                                      "+0261121-020000");
    CAPTURE(text);
    CHECK_FALSE(parse_label_time(text));
}

TEST_CASE("local times show the offset that applied then", "[util][time]")
{
    const auto [zone_name, seconds, text] = GENERATE(table<const char*, UnixSeconds, std::string>({
        {"UTC0", 1795226400, "2026-11-21 02:00:00+00"},
        {kBerlin, 1795226400, "2026-11-21 03:00:00+01"},
        {kBerlin, 1782007200, "2026-06-21 04:00:00+02"},
        {kNewYork, 1795226400, "2026-11-20 21:00:00-05"},
        {kKolkata, 1795226400, "2026-11-21 07:30:00+05:30"},
        {"NST3:30", 1795226400, "2026-11-20 22:30:00-03:30"},
    }));
    const TimeZone zone(zone_name);
    CHECK(format_local_time(seconds) == text);
}

TEST_CASE("timestamps with an offset mean the same everywhere", "[util][time][bug-40]")
{
    const TimeZone zone(GENERATE(as<const char*>(), "UTC0", kBerlin, kNewYork));
    const auto [text, microseconds] = GENERATE(table<std::string, std::int64_t>({
        {"1970-01-01 00:00:00+00", 0},
        {"2026-11-21 02:00:00+00", 1795226400000000},
        {"2026-11-21T02:00:00Z", 1795226400000000},
        {"2026-11-21 03:00:00+01", 1795226400000000},
        {"2026-11-21 07:30:00+05:30", 1795226400000000},
        {"2026-11-21 07:30:00+0530", 1795226400000000},
        {"2026-11-20 21:00:00 -05", 1795226400000000},
        {"2026-11-21 02:00:00.5+00", 1795226400500000},
        {"2026-11-21 02:00:00.000001+00", 1795226400000001},
        {"2026-11-21 02:00:00.123456789+00", 1795226400123456},
        {"1969-12-31 23:59:59.9+00", -100000},
    }));
    CAPTURE(text);
    CHECK(parse_timestamp_microseconds(text) == microseconds);
}

TEST_CASE("timestamps without an offset are local, in winter and in summer", "[util][time][bug-40]")
{
    const auto [zone_name, text, seconds] = GENERATE(table<const char*, std::string, std::int64_t>({
        {"UTC0", "2026-11-21 02:00:00", 1795226400},
        {kBerlin, "2026-11-21 03:00:00", 1795226400},
        {kBerlin, "2026-06-21 04:00:00", 1782007200},
        {kNewYork, "2026-11-20 21:00:00", 1795226400},
        {kNewYork, "2026-06-20 22:00:00", 1782007200},
    }));
    const TimeZone zone(zone_name);
    CAPTURE(zone_name, text);
    CHECK(parse_timestamp_microseconds(text) == seconds * 1000000);
}

TEST_CASE("what is no timestamp is refused", "[util][time][bug-40]")
{
    const std::string text = GENERATE("",
                                      "2026-11-21",
                                      "2026-11-21 02:00",
                                      "2026-11-21 13am",
                                      "2026-11-21 02:00:00am",
                                      "2026-02-29 00:00:00+00",
                                      "2026-04-31 00:00:00+00",
                                      "2026-13-01 00:00:00+00",
                                      "2026-00-01 00:00:00+00",
                                      "2026-01-00 00:00:00+00",
                                      "2026-01-01 24:00:00+00",
                                      "2026-01-01 00:60:00+00",
                                      "2026-01-01 00:00:60+00",
                                      "2026-01-01 00:00:00.+00",
                                      "2026-01-01 00:00:00+1",
                                      "2026-01-01 00:00:00+16",
                                      "2026-01-01 00:00:00+01:60",
                                      "2026-01-01 00:00:00+01:0",
                                      "2026-01-01 00:00:00+01:",
                                      "2026-01-01 00:00:00+01:00x",
                                      "2026-01-01 00:00:00 UTC",
                                      "26-01-01 00:00:00",
                                      "2026/01/01 00:00:00",
                                      "2026-1-1 00:00:00",
                                      " 2026-01-01 00:00:00",
                                      "tomorrow");
    CAPTURE(text);
    CHECK_FALSE(parse_timestamp_microseconds(text));
}

TEST_CASE("a timestamp is given to PostgreSQL in UTC and reads back the same",
          "[util][time][bug-40]")
{
    const TimeZone zone(kBerlin);
    const auto [microseconds, text] = GENERATE(table<std::int64_t, std::string>({
        {0, "1970-01-01 00:00:00.000000+00"},
        {1795226400123456, "2026-11-21 02:00:00.123456+00"},
        {-1, "1969-12-31 23:59:59.999999+00"},
        {-1000000, "1969-12-31 23:59:59.000000+00"},
    }));
    CHECK(format_timestamp_microseconds(microseconds) == text);
    CHECK(parse_timestamp_microseconds(text) == microseconds);
}

TEST_CASE("clocks go forward and agree with each other", "[util][time]")
{
    const std::uint64_t begin = monotonic_milliseconds();
    sleep_milliseconds(2);
    CHECK(monotonic_milliseconds() >= begin + 2);
    CHECK(now_nanoseconds() / 1000000000 - now_seconds() <= 1);
    CHECK(now_seconds() > 1700000000);
}
