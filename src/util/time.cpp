// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/time.hpp"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <thread>

namespace pgstrata {

namespace {

// Takes a run of `digits` digits off the front; nullopt when they are not there.
std::optional<int> take_number(std::string_view& text, std::size_t digits)
{
    if (text.size() < digits) {
        return std::nullopt;
    }
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        if (text[i] < '0' || text[i] > '9') {
            return std::nullopt;
        }
        value = value * 10 + (text[i] - '0');
    }
    text.remove_prefix(digits);
    return value;
}

bool take(std::string_view& text, char symbol)
{
    if (!text.starts_with(symbol)) {
        return false;
    }
    text.remove_prefix(1);
    return true;
}

struct CivilTime {
    int year = 0;
    int month = 0;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
};

bool is_real(const CivilTime& time)
{
    const std::chrono::year_month_day date(std::chrono::year(time.year),
                                           std::chrono::month(static_cast<unsigned>(time.month)),
                                           std::chrono::day(static_cast<unsigned>(time.day)));
    return date.ok() && time.hour < 24 && time.minute < 60 && time.second < 60;
}

std::tm to_tm(const CivilTime& time)
{
    std::tm broken{};
    broken.tm_year = time.year - 1900;
    broken.tm_mon = time.month - 1;
    broken.tm_mday = time.day;
    broken.tm_hour = time.hour;
    broken.tm_min = time.minute;
    broken.tm_sec = time.second;
    broken.tm_isdst = -1;
    return broken;
}

std::optional<CivilTime> take_civil_time(std::string_view& text, bool compact)
{
    CivilTime time;
    const auto year = take_number(text, 4);
    const bool dash1 = compact || take(text, '-');
    const auto month = take_number(text, 2);
    const bool dash2 = compact || take(text, '-');
    const auto day = take_number(text, 2);
    const bool gap = compact ? take(text, '-') : (take(text, ' ') || take(text, 'T'));
    const auto hour = take_number(text, 2);
    const bool colon1 = compact || take(text, ':');
    const auto minute = take_number(text, 2);
    const bool colon2 = compact || take(text, ':');
    const auto second = take_number(text, 2);
    if (!year || !month || !day || !hour || !minute || !second ||
        !(dash1 && dash2 && gap && colon1 && colon2)) {
        return std::nullopt;
    }
    time = {*year, *month, *day, *hour, *minute, *second};
    return is_real(time) ? std::optional(time) : std::nullopt;
}

// Microseconds of an optional ".ffffff"; more than six digits are cut.
std::optional<int> take_fraction(std::string_view& text)
{
    if (!take(text, '.')) {
        return 0;
    }
    int value = 0;
    int digits = 0;
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
        if (digits < 6) {
            value = value * 10 + (text[0] - '0');
        }
        ++digits;
        text.remove_prefix(1);
    }
    if (digits == 0) {
        return std::nullopt;
    }
    for (; digits < 6; ++digits) {
        value *= 10;
    }
    return value;
}

// Seconds east of Greenwich of "+HH[[:]MM]" or "Z".
std::optional<int> parse_offset(std::string_view text)
{
    if (text == "Z") {
        return 0;
    }
    const int sign = text[0] == '-' ? -1 : 1;
    if (!take(text, '+') && !take(text, '-')) {
        return std::nullopt;
    }
    const auto hours = take_number(text, 2);
    const bool has_colon = take(text, ':');
    const auto minutes = text.empty() && !has_colon ? std::optional(0) : take_number(text, 2);
    if (!hours || !minutes || !text.empty() || *hours > 15 || *minutes > 59) {
        return std::nullopt;
    }
    return sign * (*hours * 3600 + *minutes * 60);
}

} // namespace

UnixNanoseconds now_nanoseconds()
{
    std::timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

UnixSeconds now_seconds()
{
    return now_nanoseconds() / 1000000000;
}

std::uint64_t monotonic_milliseconds()
{
    std::timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

void sleep_milliseconds(std::uint64_t milliseconds)
{
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

std::string format_local_time(UnixSeconds time)
{
    const std::time_t when = time;
    std::tm broken{};
    ::localtime_r(&when, &broken);
    char text[64];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &broken);
    const long offset = broken.tm_gmtoff / 60;
    const long magnitude = offset < 0 ? -offset : offset;
    std::string result = fmt::format("{}{}{:02}", text, offset < 0 ? '-' : '+', magnitude / 60);
    if (magnitude % 60 != 0) {
        result += fmt::format(":{:02}", magnitude % 60);
    }
    return result;
}

std::string format_label_time(UnixSeconds time)
{
    const std::time_t when = time;
    std::tm broken{};
    ::gmtime_r(&when, &broken);
    char text[32];
    std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &broken);
    return text;
}

std::optional<UnixSeconds> parse_label_time(std::string_view text)
{
    const auto time = take_civil_time(text, true);
    if (!time || !text.empty()) {
        return std::nullopt;
    }
    std::tm broken = to_tm(*time);
    return ::timegm(&broken);
}

std::optional<std::int64_t> parse_timestamp_microseconds(std::string_view text)
{
    const auto time = take_civil_time(text, false);
    if (!time) {
        return std::nullopt;
    }
    const auto fraction = take_fraction(text);
    if (!fraction) {
        return std::nullopt;
    }
    while (take(text, ' ')) {
    }
    std::tm broken = to_tm(*time);
    std::int64_t seconds = 0;
    if (text.empty()) {
        seconds = std::mktime(&broken);
    } else {
        const auto offset = parse_offset(text);
        if (!offset) {
            return std::nullopt;
        }
        seconds = ::timegm(&broken) - *offset;
    }
    return seconds * 1000000 + *fraction;
}

std::string format_timestamp_microseconds(std::int64_t unix_microseconds)
{
    std::int64_t seconds = unix_microseconds / 1000000;
    std::int64_t fraction = unix_microseconds % 1000000;
    if (fraction < 0) {
        fraction += 1000000;
        --seconds;
    }
    const std::time_t when = seconds;
    std::tm broken{};
    ::gmtime_r(&when, &broken);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &broken);
    return fmt::format("{}.{:06}+00", text, fraction);
}

} // namespace pgstrata
