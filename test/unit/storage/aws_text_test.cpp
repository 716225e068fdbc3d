// SPDX-License-Identifier: PostgreSQL
#include "storage/aws_text.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::storage;

namespace {

constexpr UnixSeconds kMoment = 1795249034; // 2026-11-21 08:17:14 UTC

} // namespace

TEST_CASE("the times of listings and headers are read, and nothing else", "[s3][text]")
{
    CHECK(parse_iso_time("2026-11-21T08:17:14.000Z") == kMoment);
    CHECK(parse_iso_time("2026-11-21T08:17:14Z") == kMoment);
    CHECK(parse_iso_time("2026-11-21T09:17:14+01:00") == kMoment);
    CHECK(parse_http_time("Sat, 21 Nov 2026 08:17:14 GMT") == kMoment);
    CHECK(parse_http_time("Thu, 01 Jan 1970 00:00:00 GMT") == 0);

    const std::string bad = GENERATE("",
                                     "T",
                                     "2026-11-21",
                                     "2026-11-21 08:17:14Z",
                                     "2026-13-21T08:17:14Z",
                                     "Sat, 21 Nov 2026 08:17:14 CET",
                                     "Sat, 21 ovD 2026 08:17:14 GMT",
                                     "Sat, 31 Feb 2026 08:17:14 GMT",
                                     "Saturday");
    CAPTURE(bad);
    CHECK_FALSE(parse_iso_time(bad));
    CHECK_FALSE(parse_http_time(bad));
}

TEST_CASE("encoded keys are decoded", "[s3][text][bug-6]")
{
    CHECK(url_decode("a%2Fb+c%2B%c3%A4") == "a/b c+\xc3\xa4");
    CHECK(url_decode("") == "");
    CHECK_FALSE(url_decode("a%2"));
    CHECK_FALSE(url_decode("%"));
    CHECK_FALSE(url_decode("%zz"));
}

TEST_CASE("numbers and ranges are read, and nothing else", "[s3][text]")
{
    CHECK(parse_number("18446744073709551615") == UINT64_MAX);
    CHECK(parse_content_range("bytes 0-9/1234") == 1234);
    CHECK(parse_content_range("bytes */0") == 0);
    for (const auto* bad :
         {"", " 1", "1 ", "-1", "0x1", "18446744073709551616", "bytes 0-9/*", "bytes"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_number(bad));
        CHECK_FALSE(parse_content_range(bad));
    }
}

TEST_CASE("Retry-After is understood in both forms and bounded", "[s3][text]")
{
    CHECK(parse_retry_after("2", kMoment) == 2000);
    CHECK(parse_retry_after("Sat, 21 Nov 2026 08:17:20 GMT", kMoment) == 6000);
    CHECK(parse_retry_after("Sat, 21 Nov 2026 08:17:10 GMT", kMoment) == 0);
    CHECK(parse_retry_after("99999999999999", kMoment) == 86'400'000);
    CHECK_FALSE(parse_retry_after("", kMoment));
    CHECK_FALSE(parse_retry_after("soon", kMoment));
}

TEST_CASE("foreign text becomes one line of bounded length", "[s3][text][bug-53]")
{
    CHECK(quotable("one\ntwo\x1b[31m") == "one two [31m");
    CHECK(quotable(std::string(1000, 'x')).size() == 300);
}
