// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgstrata {

// Seconds and nanoseconds since the Unix epoch.
using UnixSeconds = std::int64_t;
using UnixNanoseconds = std::int64_t;

inline constexpr std::int64_t kMicrosecondsPerSecond = 1'000'000;
inline constexpr UnixSeconds kSecondsPerDay = 86'400;

UnixSeconds now_seconds();
UnixNanoseconds now_nanoseconds();
std::uint64_t monotonic_milliseconds();
void sleep_milliseconds(std::uint64_t milliseconds);

// "2026-11-21 02:00:00+00", in local time with the offset that applied then.
std::string format_local_time(UnixSeconds time);
// "20261121-020000" in UTC, and back.
std::string format_label_time(UnixSeconds time);
std::optional<UnixSeconds> parse_label_time(std::string_view text);

// "YYYY-MM-DD HH:MM:SS[.ffffff][+HH[[:]MM]]" to microseconds since the Unix epoch; without an
// offset the time is local. nullopt for anything else, including days and hours that do not exist.
std::optional<std::int64_t> parse_timestamp_microseconds(std::string_view text);
// The same instant as PostgreSQL reads it back: "2026-11-21 02:00:00.123456+00" (UTC).
std::string format_timestamp_microseconds(std::int64_t unix_microseconds);

// A tick of the wall clock as a parameter, so tests can set it.
class Clock {
public:
    virtual ~Clock() = default;
    virtual UnixNanoseconds now() const { return now_nanoseconds(); }
    virtual void sleep(std::uint64_t milliseconds) const { sleep_milliseconds(milliseconds); }
};

} // namespace pgstrata
