// SPDX-License-Identifier: PostgreSQL
#include "unit/command/info_examples.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <ctime>

using namespace pgstrata;
using namespace pgstrata::test;
using command::InfoDetail;
using command::InfoVerified;
using nlohmann::json;
using repository::RecoveryWindow;
using repository::WindowGap;
using repository::WindowStretch;

namespace {

constexpr UnixSeconds kMidnight = 1795219200; // 2026-11-21 00:00:00 UTC
constexpr const char* kSegment = "000000010000000000000004";

std::string text(const command::InfoStanza& stanza)
{
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    return command::render_info_text({stanza}, InfoDetail::full);
}

json parsed(const command::InfoStanza& stanza)
{
    return json::parse(command::render_info_json({stanza}, InfoDetail::full)).at(0);
}

WindowStretch stretch(UnixSeconds start, std::optional<UnixSeconds> stop)
{
    return {.label = "20261121-020000F",
            .timeline = 1,
            .first_wal = "000000010000000000000002",
            .last_wal = kSegment,
            .start = start,
            .stop = stop};
}

command::InfoStanza stanza_with(RecoveryWindow window)
{
    auto repo = make_repository();
    repo.archives[0].window = std::move(window);
    return make_stanza({repo});
}

// The lines of the window, without their indent.
std::string window_lines(const command::InfoStanza& stanza)
{
    const std::string all = text(stanza);
    const auto begin = all.find("        window");
    const auto end = all.find("\n\n", begin);
    std::string lines;
    for (std::size_t at = begin; at < end; at = all.find('\n', at) + 1) {
        lines += all.substr(at + 8, all.find('\n', at) + 1 - at - 8);
    }
    return lines;
}

} // namespace

TEST_CASE("the window is a line below the range of WAL", "[info]")
{
    CHECK_THAT(text(stanza_with({{stretch(kMidnight + 300, kMidnight + 3600)}, {}, {}})),
               Catch::Contains("/000000010000000000000003\n"
                               "        window: 2026-11-21 00:05:00+00 / 2026-11-21 "
                               "01:00:00+00\n\n        full backup"));
    CHECK(window_lines(stanza_with({{stretch(kMidnight, std::nullopt)}, {}, {}})) ==
          "window: 2026-11-21 00:00:00+00 / unknown\n");
    CHECK_THAT(text(stanza_with({})), !Catch::Contains("window"));
}

TEST_CASE("missing WAL is a line of the window", "[info][bug-20]")
{
    const std::vector<WindowStretch> stretches = {stretch(kMidnight, kMidnight + 60),
                                                  stretch(kMidnight + 600, kMidnight + 660)};
    CHECK(window_lines(stanza_with({stretches,
                                    {{kMidnight + 60, kMidnight + 600, {{kSegment, kSegment}}},
                                     {kMidnight + 660, std::nullopt, {{"A", "B"}, {"D", "E"}}},
                                     {std::nullopt, std::nullopt, {}}},
                                    {2}})) ==
          "window: 2026-11-21 00:00:00+00 / 2026-11-21 00:11:00+00\n"
          "window gap: 2026-11-21 00:01:00+00 / 2026-11-21 00:10:00+00 (wal missing: "
          "000000010000000000000004/000000010000000000000004)\n"
          "window gap: 2026-11-21 00:11:00+00 / next backup (wal missing: A/B, D/E)\n"
          "window gap: unknown / next backup (wal not kept)\n"
          "window without timeline 2: its history is not in the archive\n");
}

TEST_CASE("backups that retention left without WAL between share a line", "[info]")
{
    RecoveryWindow window;
    for (UnixSeconds hour = 0; hour < 4; ++hour) {
        const UnixSeconds at = kMidnight + hour * 3600;
        window.stretches.push_back(stretch(at, hour < 3 ? at : at + 60));
        if (hour > 0) {
            window.gaps.push_back({at - 3600, at, {}});
        }
    }
    const std::string first = "window: 2026-11-21 00:00:00+00 / 2026-11-21 03:01:00+00\n";

    CHECK(window_lines(stanza_with(window)) ==
          first + "window gap: 2026-11-21 00:00:00+00 / 2026-11-21 03:00:00+00 (wal not kept; 2 "
                  "backups between)\n");
    // More than a moment between them: a line each.
    window.stretches[1].stop = kMidnight + 3601;
    window.gaps[1].after = kMidnight + 3601;
    CHECK(window_lines(stanza_with(window)) ==
          first + "window gap: 2026-11-21 00:00:00+00 / 2026-11-21 01:00:00+00 (wal not kept)\n"
                  "window gap: 2026-11-21 01:00:01+00 / 2026-11-21 03:00:00+00 (wal not kept; 1 "
                  "backup between)\n");
}

TEST_CASE("with several repositories each has its window", "[info]")
{
    auto first = make_repository(1);
    auto second = make_repository(2);
    first.archives[0].window = {{{stretch(kMidnight, kMidnight)}, {}, {}}};
    second.archives[0].window = {{{stretch(kMidnight + 60, kMidnight + 61)}, {}, {}}};
    const auto stanza = make_stanza({first, second});

    CHECK(window_lines(stanza) ==
          "window (repo1): 2026-11-21 00:00:00+00 / 2026-11-21 00:00:00+00\n"
          "window (repo2): 2026-11-21 00:01:00+00 / 2026-11-21 "
          "00:01:01+00\n");
    CHECK(parsed(stanza).at("window").at(1).at("repo-key") == 2);
}

TEST_CASE("the window is in the JSON with its stretches and gaps", "[info]")
{
    const RecoveryWindow window = {{stretch(10, 20), stretch(30, std::nullopt)},
                                   {{20, 30, {{"A", "B"}}}, {std::nullopt, std::nullopt, {}}},
                                   {3}};

    CHECK(parsed(stanza_with(window)).at("window") == json::parse(R"([{
        "archive-id":"15-1","repo-key":1,"start":10,"stop":null,"history-missing":[3],
        "stretch":[{"backup":"20261121-020000F","start":10,"stop":20,"timeline":1,
                    "wal-start":"000000010000000000000002","wal-stop":"000000010000000000000004"},
                   {"backup":"20261121-020000F","start":30,"stop":null,"timeline":1,
                    "wal-start":"000000010000000000000002","wal-stop":"000000010000000000000004"}],
        "gap":[{"after":20,"before":30,"wal":[{"max":"B","min":"A"}]},
               {"after":null,"before":null,"wal":[]}]}])"));
    CHECK(parsed(stanza_with({})).at("window") == json::parse(R"([{"archive-id":"15-1",
        "repo-key":1,"start":null,"stop":null,"stretch":[],"gap":[]}])"));
}

TEST_CASE("backups that are not complete are listed apart", "[info]")
{
    auto repo = make_repository();
    repo.incomplete = {{.label = "20261121-040000F_20261121-041500I",
                        .is_in_progress = true,
                        .host = "db1",
                        .renewed = kMidnight},
                       {.label = "20261121-050000F", .can_be_resumed = true},
                       {.label = "20261121-060000F", .is_expired = true}};
    const auto stanza = make_stanza({repo});

    CHECK_THAT(text(stanza),
               Catch::Contains("    cipher: none\n"
                               "    backup 20261121-040000F_20261121-041500I: in progress on db1, "
                               "started 2026-11-21 04:15:00+00\n"
                               "    backup 20261121-050000F: failed, started 2026-11-21 "
                               "05:00:00+00 (can be resumed)\n"
                               "    backup 20261121-060000F: expired and partly removed, started "
                               "2026-11-21 06:00:00+00\n"
                               "\n    db (current)"));
    CHECK(parsed(stanza).at("incomplete") == json::parse(R"([
        {"host":"db1","label":"20261121-040000F_20261121-041500I","renewed":1795219200,
         "repo-key":1,"resumable":false,"start":1795234500,"state":"in progress","type":"incr"},
        {"host":null,"label":"20261121-050000F","renewed":null,"repo-key":1,"resumable":true,
         "start":1795237200,"state":"failed","type":"full"},
        {"host":null,"label":"20261121-060000F","renewed":null,"repo-key":1,"resumable":false,
         "start":1795240800,"state":"expired","type":"full"}])"));
    CHECK(parsed(stanza).at("backup").size() == 1);
    CHECK_THAT(text(make_stanza({repo, make_repository(2)})),
               Catch::Contains("    repo1 backup 20261121-050000F: failed"));
}

TEST_CASE("a backup tells how long it stays, who took it and how fast", "[info]")
{
    auto repo = make_repository();
    command::InfoBackup& backup = repo.backups.front();
    backup.retention = {"schedule daily", kMidnight};
    backup.summary.schedule = "daily";
    backup.summary.host = "db1";
    backup.missing_wal = {{kSegment, kSegment}};
    const auto stanza = make_stanza({repo});

    CHECK_THAT(text(stanza),
               Catch::EndsWith("backup size: 3MB\n"
                               "            wal missing from the archive: "
                               "000000010000000000000004/000000010000000000000004\n"
                               "            retention: schedule daily, expires 2026-11-21 "
                               "00:00:00+00\n"
                               "            host: db1, 79.7KB/s read\n"));
    const json shown = parsed(stanza).at("backup").at(0);
    CHECK(shown.at("retention") == json::parse(R"({"class":"schedule daily",
        "expires":1795219200,"pinned":false,"schedule":"daily"})"));
    CHECK(shown.at("host") == "db1");
    CHECK(shown.at("throughput") == 26949001 / 330);
    CHECK(shown.at("wal-missing").size() == 1);
}

TEST_CASE("what says nothing about a backup has no line", "[info]")
{
    auto repo = make_repository();
    command::InfoBackup& backup = repo.backups.front();
    backup.retention = {"classic", std::nullopt};
    CHECK_THAT(text(make_stanza({repo})), Catch::EndsWith("backup size: 3MB\n"));

    backup.retention = {"pinned", std::nullopt};
    backup.summary.is_pinned = true;
    backup.summary.host = "db1";
    backup.summary.stop_time = backup.summary.start_time;
    CHECK_THAT(text(make_stanza({repo})),
               Catch::EndsWith("            retention: pinned\n            host: db1\n"));
    CHECK(parsed(make_stanza({repo})).at("backup").at(0).at("throughput").is_null());
    CHECK(parsed(make_stanza({repo})).at("backup").at(0).at("retention").at("pinned") == true);
}

TEST_CASE("what verify has read and found is shown", "[info]")
{
    auto repo = make_repository();
    repo.verified = {.bytes = 999, .total = 1000, .since = kMidnight};
    CHECK_THAT(text(make_stanza({repo})),
               Catch::Contains("    cipher: none\n    verified: 99% since 2026-11-21 00:00:00+00\n"
                               "\n    db (current)"));

    repo.verified->bytes = 0;
    repo.verified->since.reset();
    repo.verified->damage = {{{"20261121-020000F", 3}, "it is gone"}};
    CHECK_THAT(text(make_stanza({repo})),
               Catch::Contains("    verified: 0%\n    damaged: pack 000003 of backup "
                               "20261121-020000F: it is gone\n"));
    CHECK(parsed(make_stanza({repo})).at("verify") == json::parse(R"([{"bytes":0,"total":1000,
        "since":null,"repo-key":1,
        "damage":[{"backup":"20261121-020000F","pack":3,"problem":"it is gone"}]}])"));

    repo.verified = InfoVerified{};
    CHECK_THAT(text(make_stanza({repo, make_repository(2)})),
               Catch::Contains("    repo1 verified: 100%\n"));
}
