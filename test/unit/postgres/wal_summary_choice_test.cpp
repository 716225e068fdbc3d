// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/wal_summary.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace pgstrata::postgres;

namespace {

// 1 was left for 2 at 100, 2 for 4 at 200.
const TimelineHistory kHistory = {{1, {100}}, {2, {200}}};

BackupPair pair(Timeline prior, std::uint64_t start, std::uint64_t stop, std::uint64_t next)
{
    return {.prior_timeline = prior,
            .prior_start = {start},
            .prior_stop = {stop},
            .timeline = 4,
            .start = {next}};
}

using Ranges = std::vector<WalRange>;
using Files = std::vector<WalSummaryName>;

} // namespace

TEST_CASE("the WAL between two backups follows the history", "[postgres][summary][bug-21]")
{
    struct Case {
        const char* name;
        BackupPair pair;
        Ranges ranges;
    };
    const auto one = GENERATE(
        Case{"one timeline", pair(4, 210, 220, 300), {{4, {210}, {300}}}},
        Case{"stop at the start", pair(4, 210, 300, 300), {{4, {210}, {300}}}},
        Case{"one switch", pair(2, 150, 160, 300), {{2, {150}, {200}}, {4, {200}, {300}}}},
        Case{"stop at the switch", pair(2, 150, 200, 300), {{2, {150}, {200}}, {4, {200}, {300}}}},
        Case{"two switches",
             pair(1, 50, 60, 300),
             {{1, {50}, {100}}, {2, {100}, {200}}, {4, {200}, {300}}}},
        Case{"start at the switch", pair(1, 50, 60, 200), {{1, {50}, {100}}, {2, {100}, {200}}}},
        Case{"prior at the switch", pair(2, 200, 200, 300), {{4, {200}, {300}}}},
        Case{"no WAL at all", pair(4, 210, 210, 210), {}});
    CAPTURE(one.name);

    const WalRanges found = find_wal_ranges(kHistory, one.pair);

    CHECK(found.ranges == one.ranges);
    CHECK(found.reason.empty());
}

TEST_CASE("a timeline left twice at one position has no WAL in between", "[postgres][summary]")
{
    const auto found = find_wal_ranges({{1, {100}}, {2, {100}}, {3, {150}}}, pair(1, 50, 60, 150));

    CHECK(found.ranges == Ranges{{1, {50}, {100}}, {3, {100}, {150}}});
}

TEST_CASE("backups of the same timeline need no history", "[postgres][summary]")
{
    CHECK(find_wal_ranges({}, pair(4, 210, 220, 300)).ranges == Ranges{{4, {210}, {300}}});
}

TEST_CASE("a prior backup that this one does not follow is refused with the reason",
          "[postgres][summary][bug-21]")
{
    struct Case {
        BackupPair pair;
        const char* reason;
    };
    const auto one = GENERATE(
        Case{pair(3, 150, 160, 300), "timeline 3 of the prior backup is not in the history of "},
        Case{pair(5, 150, 160, 300), "timeline 5 of the prior backup is not in the history of "},
        Case{pair(1, 90, 101, 300), "stopped at 0/65, but timeline 1 was left at 0/64"},
        Case{pair(2, 150, 250, 300), "stopped at 0/FA, but timeline 2 was left at 0/C8"},
        Case{pair(4, 210, 301, 300), "is not before the start of this one at 0/12C"},
        Case{pair(4, 220, 210, 300), "the prior backup ran from 0/DC to 0/D2"},
        Case{pair(4, 310, 320, 300), "the prior backup ran from 0/136 to 0/140"},
        // The new backup claims a timeline that begins later.
        Case{pair(2, 150, 160, 190), "timeline 4 begins at 0/C8 and ends at 0/BE"});
    CAPTURE(one.reason);

    const WalRanges found = find_wal_ranges(kHistory, one.pair);

    CHECK(found.ranges.empty());
    CHECK_THAT(found.reason, Catch::Contains(one.reason));
}

TEST_CASE("a history that goes back in WAL is refused", "[postgres][summary]")
{
    const auto found = find_wal_ranges({{1, {100}}, {2, {80}}}, pair(1, 50, 60, 300));

    CHECK(found.ranges.empty());
    CHECK_THAT(found.reason, Catch::Contains("timeline 2 begins at 0/64 and ends at 0/50"));
}

TEST_CASE("the summaries that cover the WAL are chosen, or the first gap is found",
          "[postgres][summary]")
{
    const Ranges one_line = {{1, {50}, {100}}};
    const Ranges two_lines = {{1, {50}, {100}}, {2, {100}, {200}}};
    struct Case {
        const char* name;
        Ranges ranges;
        Files available;
        Files files;
        std::optional<WalRange> gap;
    };
    const auto one = GENERATE_COPY(
        Case{"exactly", one_line, {{1, {50}, {100}}}, {{1, {50}, {100}}}, {}},
        Case{"with more on both sides", one_line, {{1, {40}, {120}}}, {{1, {40}, {120}}}, {}},
        Case{"in pieces",
             one_line,
             {{1, {80}, {100}}, {1, {50}, {60}}, {1, {60}, {80}}},
             {{1, {50}, {60}}, {1, {60}, {80}}, {1, {80}, {100}}},
             {}},
        Case{"neighbours are left out",
             one_line,
             {{1, {40}, {50}}, {1, {50}, {100}}, {1, {100}, {120}}},
             {{1, {50}, {100}}},
             {}},
        Case{"all that overlap are taken",
             one_line,
             {{1, {45}, {90}}, {1, {50}, {60}}, {1, {55}, {101}}, {1, {99}, {110}}},
             {{1, {45}, {90}}, {1, {50}, {60}}, {1, {55}, {101}}, {1, {99}, {110}}},
             {}},
        Case{"a short one inside a long one does not end it",
             one_line,
             {{1, {50}, {90}}, {1, {55}, {60}}, {1, {85}, {100}}},
             {{1, {50}, {90}}, {1, {55}, {60}}, {1, {85}, {100}}},
             {}},
        Case{"nothing there", one_line, {}, {}, WalRange{1, {50}, {100}}},
        Case{
            "nothing of this timeline", one_line, {{2, {50}, {100}}}, {}, WalRange{1, {50}, {100}}},
        Case{"gap at the start", one_line, {{1, {51}, {100}}}, {}, WalRange{1, {50}, {51}}},
        Case{"gap at the end", one_line, {{1, {50}, {99}}}, {}, WalRange{1, {99}, {100}}},
        Case{"gap in the middle",
             one_line,
             {{1, {50}, {60}}, {1, {61}, {100}}},
             {},
             WalRange{1, {60}, {61}}},
        Case{"the first of two gaps",
             two_lines,
             {{1, {50}, {70}}, {1, {75}, {80}}, {2, {110}, {200}}},
             {},
             WalRange{1, {70}, {75}}},
        Case{"gap after a switch",
             two_lines,
             {{1, {50}, {100}}, {2, {110}, {200}}},
             {},
             WalRange{2, {100}, {110}}},
        Case{"ends exactly at the switch",
             two_lines,
             {{2, {100}, {200}}, {1, {50}, {100}}},
             {{1, {50}, {100}}, {2, {100}, {200}}},
             {}},
        Case{"an old timeline past the switch covers nothing of the new one",
             two_lines,
             {{1, {50}, {150}}, {2, {150}, {200}}},
             {},
             WalRange{2, {100}, {150}}},
        Case{"no WAL at all", {}, {{1, {50}, {100}}}, {}, {}});
    CAPTURE(one.name);

    const WalSummaryChoice choice = choose_wal_summaries(one.available, one.ranges);

    CHECK(choice.files == one.files);
    CHECK(choice.gap == one.gap);
}
