// SPDX-License-Identifier: PostgreSQL
#include "support/chain.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <functional>

// How a backup finds out what changed: by WAL summaries where they are whole, else by reading.

using namespace pgstrata::test;
using Catch::Contains;
using Strings = std::vector<std::string>;

namespace {

namespace fs = std::filesystem;

bool has_major(unsigned major)
{
    const auto majors = test_majors();
    return std::find(majors.begin(), majors.end(), major) != majors.end();
}

SiteOptions summarizing(unsigned major, bool checksums = true)
{
    SiteOptions options;
    options.cluster.major = major;
    options.cluster.checksums = checksums;
    options.cluster.settings = {"summarize_wal = on"};
    return options;
}

// A table of one row a page, so that a known part of its pages can be changed.
void create_wide_table(const Cluster& cluster, unsigned pages)
{
    cluster.sql("CREATE TABLE wide (id int PRIMARY KEY, text text) WITH (fillfactor = 45)");
    cluster.sql("ALTER TABLE wide ALTER text SET STORAGE plain");
    cluster.sql("INSERT INTO wide SELECT i, repeat('x', 3600) FROM generate_series(1, " +
                std::to_string(pages) + ") AS i");
}

void change_row(const Cluster& cluster, int id)
{
    cluster.sql("UPDATE wide SET text = repeat('y', 3600) WHERE id = " + std::to_string(id));
    settle(cluster);
}

std::uint64_t bytes_read(const Chain& chain)
{
    return chain.summary().at("read").get<std::uint64_t>();
}

void write_into_pages(const std::string& file, std::size_t begin, std::size_t end)
{
    auto text = read_file(file);
    for (std::size_t page = begin; page < end; ++page) {
        text.replace(page * kServerPage + kServerPage - 100, 10, "0123456789");
    }
    write_file(file, text);
}

std::string summaries_directory(const Cluster& cluster)
{
    return cluster.path("pg_wal/summaries");
}

// A chain with a full backup and a small table for each server that has summaries.
struct Tracked : Chain {
    explicit Tracked(unsigned major, bool checksums = true) : Chain(summarizing(major, checksums))
    {
        create_wide_table(cluster(), 400);
        settle(cluster());
        take({"--type=full"});
    }
    // Takes an incremental and proves that it is right, whatever it did.
    std::string check_incremental(const Strings& options = {})
    {
        settle(cluster());
        Strings all{"--type=incr"};
        all.insert(all.end(), options.begin(), options.end());
        const auto result = backup(all);
        INFO(result.text());
        CHECK(result.status == 0);
        CHECK(summary().at("type") == "incr");
        CHECK(differences_from_full() == Strings{});
        return result.text();
    }
    std::string tracking() const { return summary().at("change-tracking").get<std::string>(); }
};

struct Doubt {
    std::string name;
    std::function<void(Tracked&)> cause;
    Strings options;
    bool is_warned;
    std::string told;
};

std::vector<Doubt> doubts()
{
    const auto nothing = [](Tracked&) {};
    const auto stop_summarizing = [](Tracked& chain) {
        chain.cluster().sql("ALTER SYSTEM SET summarize_wal = off");
        chain.cluster().sql("SELECT pg_reload_conf()");
        wait_until("the reload",
                   [&] { return chain.cluster().sql("SHOW summarize_wal") == "off"; });
    };
    const auto remove_summaries = [](Tracked& chain) {
        // The server makes them again from what WAL it has kept.
        for (int i = 0; i < 2; ++i) {
            chain.cluster().archive_current_segment();
            settle(chain.cluster());
        }
        chain.cluster().stop();
        for (const auto& entry : fs::directory_iterator(summaries_directory(chain.cluster()))) {
            fs::remove(entry.path());
        }
        chain.cluster().start();
    };
    const auto damage_summaries = [](Tracked& chain) {
        chain.cluster().stop();
        for (const auto& entry : fs::directory_iterator(summaries_directory(chain.cluster()))) {
            flip_byte(entry.path(), -1);
        }
        chain.cluster().start();
    };
    const auto write_without_wal = [](Tracked& chain) {
        auto& cluster = chain.cluster();
        for (const auto* level : {"minimal", "replica"}) {
            for (const auto& line : {std::string("wal_level = ") + level,
                                     std::string("max_wal_senders = ") +
                                         (level == std::string("minimal") ? "0" : "10"),
                                     std::string("archive_mode = ") +
                                         (level == std::string("minimal") ? "off" : "on")}) {
                cluster.add_setting(line);
            }
            // The server refuses to summarize what such WAL tells.
            cluster.add_setting(std::string("summarize_wal = ") +
                                (level == std::string("minimal") ? "off" : "on"));
            cluster.restart();
            if (level == std::string("minimal")) {
                cluster.sql("BEGIN; TRUNCATE wide; INSERT INTO wide SELECT i, 'without WAL' FROM "
                            "generate_series(1, 5000) AS i; COMMIT");
            }
        }
    };
    return {{"summarize_wal is off", stop_summarizing, {}, false, "summarize_wal is off"},
            {"summaries are asked for but summarize_wal is off",
             stop_summarizing,
             {"--change-tracking=summary"},
             true,
             "summarize_wal is off"},
            {"no summaries", remove_summaries, {}, true, "there is no WAL summary"},
            {"damaged summaries", damage_summaries, {}, true, ".summary"},
            {"wal_level was minimal", write_without_wal, {}, true, "there is no WAL summary"},
            {"they are not wanted", nothing, {"--change-tracking=scan"}, false, "set to scan"},
            {"all is wanted", nothing, {"--delta"}, false, "--delta is set"}};
}

} // namespace

TEST_CASE("with WAL summaries only the pages that changed are read",
          "[change-tracking][incremental]")
{
    if (!has_major(17)) {
        return;
    }
    Chain chain(summarizing(17));
    constexpr unsigned kPages = 27000;
    create_wide_table(chain.cluster(), kPages);
    const auto size = chain.cluster().sql("SELECT pg_relation_size('wide')");
    REQUIRE(size == std::to_string(kPages * kServerPage));
    // The first who reads a page sets hint bits, of which WAL tells.
    chain.cluster().sql("VACUUM wide");
    settle(chain.cluster());
    chain.take({"--type=full"});
    // In its own page, where there is room.
    chain.cluster().sql("UPDATE wide SET text = repeat('y', 3500) WHERE id % 100 = 0");
    REQUIRE(chain.cluster().sql("SELECT pg_relation_size('wide')") == size);
    settle(chain.cluster());

    const auto result = chain.backup({"--type=incr"});

    INFO(result.text());
    REQUIRE(result.status == 0);
    CHECK_THAT(result.text(), Contains("only the pages are read that") && !Contains("WARN"));
    CHECK(chain.summary().at("change-tracking") == "summary");
    CHECK(bytes_read(chain) > kPages / 100 * kServerPage);
    CHECK(bytes_read(chain) < kPages * kServerPage / 100 * 3);
    auto restored = chain.restore();
    restored.start();
    restored.wait_until_promoted();
    const auto* sums = "SELECT count(*), sum(length(text)) FROM wide";
    CHECK(restored.sql(sums) == chain.cluster().sql(sums));
    change_row(chain.cluster(), 5);
    chain.take({"--type=incr", "--change-tracking=scan"});
    CHECK(bytes_read(chain) > kPages * kServerPage);
}

TEST_CASE("where summaries do not tell everything, all files are read",
          "[change-tracking][incremental]")
{
    if (!has_major(17)) {
        return;
    }
    const auto doubt = GENERATE(from_range(doubts()));
    CAPTURE(doubt.name);
    Tracked chain(17);
    change_row(chain.cluster(), 100);
    doubt.cause(chain);

    const auto told = chain.check_incremental(doubt.options);

    CHECK_THAT(told, Contains(doubt.told));
    CHECK((told.find("WARN") != std::string::npos) == doubt.is_warned);
    CHECK(chain.tracking() == "scan");
    change_row(chain.cluster(), 200);
    chain.check_incremental();
}

TEST_CASE("before PostgreSQL 17 all files that were touched are read and nobody is warned",
          "[change-tracking][incremental]")
{
    if (!has_major(15)) {
        return;
    }
    Chain chain;
    create_wide_table(chain.cluster(), 50);
    chain.take({"--type=full"});

    const auto result = chain.backup({"--type=incr"});
    const auto wanted = chain.backup({"--type=incr", "--change-tracking=summary"});

    CHECK_THAT(result.text(), Contains("PostgreSQL 15 has no WAL summaries") && !Contains("WARN"));
    CHECK_THAT(wanted.text(), Contains("PostgreSQL 15 has no WAL summaries") && Contains("WARN"));
    CHECK(wanted.status == 0);
}

TEST_CASE("a summarizer that hangs is not waited for any longer than archives are",
          "[change-tracking][incremental]")
{
    if (!has_major(18)) {
        return;
    }
    Tracked chain(18);
    change_row(chain.cluster(), 100);
    const auto summarizer = static_cast<pid_t>(std::stoi(chain.cluster().sql(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsummarizer'")));
    REQUIRE(::kill(summarizer, SIGSTOP) == 0);

    const auto result = chain.backup({"--type=incr", "--archive-timeout=5s"});

    ::kill(summarizer, SIGCONT);
    INFO(result.text());
    CHECK(result.status == 0);
    CHECK_THAT(result.text(), Contains("WARN") && Contains("does not get beyond"));
    CHECK(chain.tracking() == "scan");
    change_row(chain.cluster(), 200);
    CHECK_THAT(chain.check_incremental(), !Contains("WARN"));
    CHECK(chain.tracking() == "summary");
}

TEST_CASE("a restored cluster on a new timeline is backed up incrementally",
          "[change-tracking][incremental]")
{
    const auto major = GENERATE(from_range(test_majors()));
    if (major != 15 && major != 17) {
        return;
    }
    CAPTURE(major);
    SiteOptions options;
    options.cluster.major = major;
    if (major >= 17) {
        options.cluster.settings = {"summarize_wal = on"};
    }
    Chain chain(options);
    auto& cluster = chain.cluster();
    create_wide_table(cluster, 400);
    settle(cluster);
    const auto full = chain.take({"--type=full"});
    // Does not become part of the new timeline.
    change_row(cluster, 300);
    chain.take({"--type=incr"});
    cluster.stop();
    chain.site().must({"restore",
                       "--repo=1",
                       "--delta",
                       "--set=" + full,
                       "--type=immediate",
                       "--target-action=promote"});
    cluster.start();
    cluster.wait_until_promoted();
    cluster.sql("INSERT INTO wide VALUES (0, 'on the new timeline')");
    settle(cluster);

    const auto result = chain.backup({"--type=incr"});

    INFO(result.text());
    CHECK(result.status == 0);
    CHECK_THAT(result.text(), Contains("the timeline was 1 and is 2"));
    CHECK(chain.summary().at("change-tracking") == "scan");
    CHECK(chain.differences_from_full() == Strings{});
}

TEST_CASE("summaries lead over a promotion where the standby has made its own",
          "[change-tracking][incremental]")
{
    if (!has_major(17)) {
        return;
    }
    Tracked chain(17);
    const auto target = chain.site().new_path("standby");
    fs::create_directory(target);
    chain.site().must({"restore", "--repo=1", "--pg1-path=" + target, "--type=standby"});
    Cluster standby(17, target, Cluster::Archiving::as_configured);
    write_file(standby.path("postgresql.auto.conf"),
               read_file(standby.path("postgresql.auto.conf")) + "archive_command = '" +
                   program_under_test() + " --config=" + chain.site().configuration() +
                   " --stanza=main --pg1-path=" + target + " archive-push %p'\n" +
                   "primary_conninfo = 'user=postgres host=" + chain.cluster().socket_directory() +
                   " port=" + std::to_string(chain.cluster().port()) + "'\n");
    standby.start();
    wait_until("the standby's connection", [&] {
        return chain.cluster().sql("SELECT count(*) FROM pg_stat_replication") == "1";
    });
    change_row(chain.cluster(), 100);
    const auto wanted = fingerprint(chain.cluster());
    chain.cluster().stop();
    wait_until("the replay of the primary's last change", [&] {
        return standby.sql("SELECT count(*) FROM wide WHERE id = 100 AND text LIKE 'y%'") == "1";
    });
    standby.sql("SELECT pg_promote()");
    standby.wait_until_promoted();
    standby.sql("UPDATE wide SET text = 'after' WHERE id = 200");
    settle(standby);
    const Strings there{"--pg1-path=" + target, "--pg1-socket-path=" + standby.socket_directory()};
    const auto in = [&](Strings arguments) {
        arguments.insert(arguments.end(), there.begin(), there.end());
        return arguments;
    };

    const auto result = chain.backup(in({"--type=incr"}));

    INFO(result.text());
    REQUIRE(result.status == 0);
    CHECK_THAT(result.text(), Contains("only the pages are read that") && !Contains("WARN"));
    CHECK(chain.tracking() == "summary");
    auto restored = chain.restore();
    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql("SELECT substr(text, 1, 5) FROM wide WHERE id IN (100, 200) ORDER BY id") ==
          "yyyyy\nafter");
    CHECK(fingerprint(restored) == fingerprint(standby));
    CHECK(fingerprint(restored) != wanted);
}

TEST_CASE("after checksums were enabled everything is compared", "[change-tracking][incremental]")
{
    if (!has_major(15)) {
        return;
    }
    SiteOptions options;
    options.cluster.checksums = false;
    Chain chain(options);
    auto& cluster = chain.cluster();
    create_wide_table(cluster, 400);
    settle(cluster);
    chain.take({"--type=full"});
    cluster.stop();
    run_or_throw({server_program(15, "pg_checksums"), "--enable", "-D", cluster.data_directory()});
    cluster.start();
    settle(cluster);

    const auto result = chain.backup({"--type=incr"});

    INFO(result.text());
    CHECK(result.status == 0);
    CHECK_THAT(result.text(), Contains("data checksums were switched"));
    CHECK(chain.differences_from_full() == Strings{});
    auto restored = chain.restore();
    restored.start();
    restored.wait_until_promoted();
    restored.stop();
    CHECK(restored.verify_checksums());
}

TEST_CASE("pages that were written behind the server's back are noticed and can be taken",
          "[change-tracking][incremental]")
{
    if (!has_major(17)) {
        return;
    }
    Chain chain(summarizing(17));
    // The sample has a page in every 2048 at the least.
    constexpr unsigned kPages = 2500;
    create_wide_table(chain.cluster(), kPages);
    settle(chain.cluster());
    // Each bad page is looked at again and again, which so many need not.
    chain.take({"--type=full", "--no-checksum-page"});
    const auto file =
        chain.cluster().path(chain.cluster().sql("SELECT pg_relation_filepath('wide')"));
    chain.cluster().stop();
    write_into_pages(file, 1, kPages - 100);
    chain.cluster().start();
    change_row(chain.cluster(), static_cast<int>(kPages));

    const auto result = chain.backup({"--type=incr", "--process-max=1", "--no-resume"});

    INFO(result.text());
    CHECK(result.status == 26);
    CHECK_THAT(result.text(),
               Contains("no WAL summary says so") && Contains("--change-tracking=scan"));
    CHECK(chain.backups().size() == 1);
    chain.take({"--type=incr", "--change-tracking=scan"});
    CHECK(chain.differences_from_full({"--no-checksum-page"}) == Strings{});
}

TEST_CASE("hint bits that were set before they were logged are not taken for meddling",
          "[change-tracking][incremental]")
{
    if (!has_major(17)) {
        return;
    }
    Chain chain(summarizing(17, false));
    create_wide_table(chain.cluster(), 2500);
    settle(chain.cluster());
    chain.take({"--type=full"});
    chain.cluster().sql("SELECT count(*) FROM wide WHERE text IS NOT NULL");
    settle(chain.cluster());
    chain.cluster().add_setting("wal_log_hints = on");
    chain.cluster().restart();
    change_row(chain.cluster(), 2500);

    const auto result = chain.backup({"--type=incr", "--process-max=1"});

    INFO(result.text());
    CHECK(result.status == 0);
    CHECK(chain.summary().at("change-tracking") == "summary");
    auto restored = chain.restore();
    restored.start();
    restored.wait_until_promoted();
    CHECK(fingerprint(restored) == fingerprint(chain.cluster()));
}
