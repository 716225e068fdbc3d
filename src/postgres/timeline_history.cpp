// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/timeline_history.hpp"

#include "pgstrata/util/error.hpp"

#include <algorithm>
#include <charconv>

namespace pgstrata::postgres {

namespace {

constexpr std::string_view kWhitespace = " \t\r\v\f";

// Takes the first word off `text`.
std::string_view take_word(std::string_view& text) noexcept
{
    text.remove_prefix(std::min(text.find_first_not_of(kWhitespace), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(kWhitespace));
    text.remove_prefix(word.size());
    return word;
}

// Timelines are decimal inside the file, though hex in its name.
std::optional<Timeline> parse_decimal(std::string_view text) noexcept
{
    Timeline value = 0;
    const char* const end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc{} || result.ptr != end || value == 0) {
        return std::nullopt;
    }
    return value;
}

[[noreturn]] void fail(Timeline timeline, std::string_view line, std::string_view problem)
{
    constexpr std::size_t kQuoted = 100;
    raise(ErrorCode::format,
          "{} in the history of timeline {}: '{}'",
          problem,
          timeline,
          line.substr(0, kQuoted));
}

} // namespace

TimelineHistory parse_timeline_history(std::string_view text, Timeline timeline)
{
    TimelineHistory history;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        std::string_view rest = line;
        const std::string_view first = take_word(rest);
        if (first.empty() || first.front() == '#') {
            continue;
        }
        const auto ancestor = parse_decimal(first);
        const auto switch_point = parse_lsn(take_word(rest));
        if (!ancestor || !switch_point) {
            fail(timeline, line, "invalid line");
        }
        if (*ancestor >= timeline || (!history.empty() && *ancestor <= history.back().timeline)) {
            fail(timeline, line, "timeline out of order");
        }
        history.push_back({*ancestor, *switch_point});
    }
    return history;
}

bool is_reachable(const TimelineHistory& history,
                  Timeline target,
                  Timeline timeline,
                  Lsn stop) noexcept
{
    if (timeline == target) {
        return true;
    }
    return std::any_of(history.begin(), history.end(), [&](const TimelineSwitch& ancestor) {
        return ancestor.timeline == timeline && stop <= ancestor.switch_point;
    });
}

} // namespace pgstrata::postgres
