// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <set>
#include <thread>

using namespace pgstrata::test;
using namespace std::chrono_literals;

namespace {

namespace fs = std::filesystem;

SiteOptions asynchronous(std::vector<std::string> settings = {})
{
    SiteOptions options;
    options.cluster.wal_segment_mb = 1;
    options.settings = std::move(settings);
    options.settings.emplace_back("archive-async=y");
    return options;
}

std::string spool(const Site& site, const std::string& name)
{
    return site.path("spool/archive/main/" + name);
}

// The process in the background; 0 when there is none.
pid_t background_process(const Site& site)
{
    const auto lock = site.path("lock/main-archive-1.lock");
    try {
        return nlohmann::json::parse(read_file(lock)).at("pid").get<pid_t>();
    } catch (const std::exception&) {
        return 0;
    }
}

// The WAL files in the archive, each as often as it is there.
std::multiset<std::string> archived(const Site& site)
{
    std::multiset<std::string> names;
    for (const auto& object : site.objects("archive/")) {
        const auto name = fs::path(object).filename().string();
        if (name.size() > 40 && name.find('-') == 24) {
            names.insert(name.substr(0, 24));
        }
    }
    return names;
}

// Segments that the server takes for archived and that the archive does not have.
std::vector<std::string> acknowledged_too_early(Site& site)
{
    std::vector<std::string> done;
    for (const auto& entry : fs::directory_iterator(site.cluster().path("pg_wal/archive_status"))) {
        if (entry.path().extension() == ".done") {
            done.push_back(entry.path().stem());
        }
    }
    const auto last = site.cluster().sql("SELECT last_archived_wal FROM pg_stat_archiver");
    if (!last.empty()) {
        done.push_back(last);
    }
    const auto stored = archived(site);
    std::erase_if(done,
                  [&](const auto& name) { return name.size() != 24 || stored.contains(name); });
    return done;
}

void make_wal(Site& site, int segments)
{
    for (int i = 0; i < segments; ++i) {
        site.cluster().sql("SELECT pg_logical_emit_message(true, 'x', repeat('y', 900000))");
        site.cluster().sql("SELECT pg_switch_wal()");
    }
}

std::size_t waiting(Site& site)
{
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(site.cluster().path("pg_wal/archive_status"))) {
        count += entry.path().extension() == ".ready" ? 1U : 0U;
    }
    return count;
}

void wait_until_archived(Site& site)
{
    wait_until("the archiver has nothing to do", [&] { return waiting(site) == 0; });
}

void wait_until_idle(const Site& site)
{
    wait_until("the end of the process in the background",
               [&] { return background_process(site) == 0; });
}

// Nothing waits, and nobody is left who archives.
void stop_archiving(Site& site)
{
    wait_until_archived(site);
    site.set_archiving(false);
    wait_until_idle(site);
}

// Whether the repository takes WAL.
void set_writable(const Site& site, bool is_writable)
{
    for (const auto& entry : fs::recursive_directory_iterator(site.repository() + "/archive")) {
        if (entry.is_directory()) {
            fs::permissions(entry.path(), fs::perms(is_writable ? 0750 : 0550));
        }
    }
}

void set_permissions(const std::string& path, unsigned mode)
{
    fs::permissions(path, fs::perms(mode));
}

std::string log_text(const Site& site, const std::string& name)
{
    const auto path = site.path("log/" + name);
    return fs::exists(path) ? read_file(path) : std::string();
}

// The segment that the archiver takes next. Archiving is off: it has failed with that one, so the
// one before was not still on its way.
std::string first_waiting(Site& site)
{
    std::string name;
    wait_until("the archiver to fail", [&] {
        const auto mark = site.cluster().sql(
            "SELECT min(name) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'");
        name = mark.substr(0, mark.size() - std::string(".ready").size());
        return site.cluster().sql("SELECT last_failed_wal FROM pg_stat_archiver") == name;
    });
    return name;
}

// The name of the segment that is written now: it gets archived next.
std::string current_segment(Site& site)
{
    return site.cluster().sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())");
}

} // namespace

TEST_CASE("nothing is lost or acknowledged early while the process in the background is killed",
          "[async][archive][bug-25][bug-26]")
{
    Site site(asynchronous());
    site.cluster().load_pgbench(2);
    const auto first = site.cluster().archive_current_segment();
    auto load = site.cluster().start_pgbench(20);
    std::size_t kills = 0;
    std::vector<std::string> early;
    for (int round = 0; load.is_running(); ++round) {
        if (const auto pid = background_process(site); pid > 1 && round % 3 == 0) {
            kills += ::kill(pid, SIGKILL) == 0 ? 1U : 0U;
        }
        if (round == 20 || round == 40) {
            set_writable(site, round == 40);
        }
        const auto missing = acknowledged_too_early(site);
        early.insert(early.end(), missing.begin(), missing.end());
        std::this_thread::sleep_for(100ms);
    }
    set_writable(site, true);
    CHECK(load.wait().status == 0);
    const auto last = site.cluster().archive_current_segment();
    wait_until_archived(site);

    CHECK(early.empty());
    CHECK(kills > 2);
    const auto stored = archived(site);
    std::set<std::string> names(stored.begin(), stored.end());
    CHECK(names.size() == stored.size());
    const auto count = std::stoull(last.substr(16), nullptr, 16) -
                       std::stoull(first.substr(16), nullptr, 16) +
                       (last.substr(8, 8) == first.substr(8, 8) ? 1 : 0);
    CHECK(std::distance(names.find(first), names.end()) == static_cast<std::ptrdiff_t>(count));
    CHECK(count > 10);
    // What a killed process left in the middle of a file is gone.
    wait_until_idle(site);
    for (const auto& entry : fs::directory_iterator(spool(site, "out"))) {
        CAPTURE(entry.path());
        CHECK(entry.path().extension() == ".ok");
    }
}

TEST_CASE("no stale mark hides a segment", "[async][archive][bug-26]")
{
    const auto [name, content] = GENERATE(table<std::string, std::string>({
        {".ok", ""},
        {".ok", "0\nstored with a warning"},
        {".ok", "1:2 1048576 3.000000000 4.000000000 0123456789abcdef\n"},
        {".ok", std::string(100000, 'x')},
        {".error", "45\nan error of another time"},
        {".error", ""},
        {".gap", "nonsense"},
        {".ok.01234567.pgstrata.tmp", "half"},
    }));
    CAPTURE(name, content.substr(0, 40));
    Site site(asynchronous());
    site.cluster().archive_current_segment();
    wait_until_idle(site);
    const auto next = current_segment(site);
    write_file(spool(site, "out/" + next + name), content);
    write_file(spool(site, "out/global.error"), "62\nan error of all files");

    CHECK(site.cluster().archive_current_segment() == next);

    CHECK(archived(site).count(next) == 1);
    CHECK(site.cluster().sql("SELECT failed_count FROM pg_stat_archiver") == "0");
}

TEST_CASE("a mark is not believed for a segment of the same name with other contents",
          "[async][archive][bug-18][bug-26]")
{
    Site site(asynchronous());
    stop_archiving(site);
    make_wal(site, 2);
    const auto name = first_waiting(site);
    site.must({"archive-push", site.cluster().path("pg_wal/" + name)});
    // Its neighbours were pushed with it, and wait for PostgreSQL to ask.
    wait_until_idle(site);
    const auto marked = fs::directory_iterator(spool(site, "out"))->path().stem().string();
    REQUIRE(archived(site).count(marked) == 1);
    const auto path = site.cluster().path("pg_wal/" + marked);
    auto other = read_file(path);
    other[other.size() / 2] = static_cast<char>(other[other.size() / 2] ^ 1);
    write_file(path, other);

    CHECK(site.run({"archive-push", path}).status == 45);
}

TEST_CASE("a failure in the background is told to PostgreSQL", "[async][archive][bug-26]")
{
    Site site(asynchronous());
    stop_archiving(site);
    make_wal(site, 1);
    const auto name = first_waiting(site);
    const auto path = site.cluster().path("pg_wal/" + name);
    SECTION("the repository does not take it")
    {
        set_writable(site, false);
        const auto result = site.run({"archive-push", path});
        set_writable(site, true);
        CHECK(result.status == 104);
        CHECK_THAT(result.text(), Catch::Contains("repo1: ["));
    }
    SECTION("the stanza is stopped")
    {
        site.must({"stop"});
        CHECK(site.run({"archive-push", path}).status == 62);
        site.must({"start"});
    }
    SECTION("the spool cannot be written")
    {
        set_permissions(site.path("spool"), 0500);
        const auto result = site.run({"archive-push", path});
        set_permissions(site.path("spool"), 0750);
        CHECK(result.status == 47);
        CHECK_THAT(result.text(), Catch::Contains(site.path("spool")));
    }
    CHECK(archived(site).empty());
    site.must({"archive-push", path});
    CHECK(archived(site).count(name) == 1);
}

TEST_CASE("a restored cluster recovers through the queue", "[async][restore][bug-24][bug-26]")
{
    const auto retry = GENERATE(as<std::string>(), "y", "n");
    Site site(asynchronous({"archive-get-queue-max=8MB", "archive-missing-retry=" + retry}));
    site.cluster().load_pgbench(1);
    site.backup();
    site.cluster().sql("CREATE TABLE t AS SELECT generate_series(1, 10) n");
    make_wal(site, 35);
    site.cluster().sql("INSERT INTO t VALUES (11)");
    site.cluster().archive_current_segment();
    wait_until_archived(site);
    site.cluster().stop();
    // Of other clusters and times.
    fs::create_directories(spool(site, "in"));
    write_file(spool(site, "in/000000010000000000000005.ok"), "");
    write_file(spool(site, "in/0000000100000000000000FF-x"), "half");

    auto restored = site.restore({"--log-level-file=info"});
    CHECK(fs::is_empty(spool(site, "in")));
    restored.start();
    restored.wait_until_promoted();

    CHECK(restored.sql("SELECT count(*) FROM t") == "11");
    CHECK_THAT(log_text(site, "main-archive-get-async.log"), Catch::Contains("segment(s) ahead"));
    std::size_t queued = 0;
    for (const auto& entry : fs::directory_iterator(spool(site, "in"))) {
        queued += entry.path().filename().string().size() > 60 ? 1U : 0U;
    }
    CHECK(queued <= 8);
}

TEST_CASE("WAL over the limit is dropped with a warning and a record", "[async][archive][bug-20]")
{
    const auto mode = GENERATE(as<std::string>(), "archive-async=y", "archive-async=n");
    CAPTURE(mode);
    auto options = asynchronous({"archive-push-queue-max=2MB"});
    options.settings.back() = mode;
    Site site(options);
    site.backup();
    stop_archiving(site);
    make_wal(site, 6);
    const auto dropped = first_waiting(site);
    site.set_archiving(true);
    wait_until_archived(site);
    const auto after = site.cluster().archive_current_segment();

    const auto gap = site.info().at("archive").at(0).at("gap").at(0);
    CHECK(gap.at("min") == dropped);
    CHECK(gap.at("max") < after);
    CHECK_THAT(site.must({"info"}).out,
               Catch::Contains("wal archive gap (dropped) min/max: " + dropped));
    CHECK_THAT(
        site.cluster().log(),
        Catch::Contains("dropped WAL file '" + dropped + "' because archive queue exceeded 2MB"));
    CHECK(archived(site).count(dropped) == 0);
    CHECK(archived(site).count(after) == 1);
    const auto target = site.new_path("restored");
    fs::create_directory(target);
    CHECK_THAT(site.must({"restore", "--pg1-path=" + target}).text(),
               Catch::Contains(dropped) && Catch::Contains("archive-push-queue-max"));
}

TEST_CASE("what was dropped while the repository was away is recorded later",
          "[async][archive][bug-20]")
{
    Site site(asynchronous({"archive-push-queue-max=2MB"}));
    site.cluster().archive_current_segment();
    set_permissions(site.repository(), 0000);
    make_wal(site, 6);
    wait_until_archived(site);
    set_permissions(site.repository(), 0750);
    CHECK_FALSE(site.info().at("archive").at(0).contains("gap"));

    site.cluster().archive_current_segment();
    wait_until_archived(site);

    CHECK(site.info().at("archive").at(0).contains("gap"));
}

TEST_CASE("what is in the queue is checked before it is handed out", "[async][archive][bug-17]")
{
    Site site(asynchronous({"archive-get-queue-max=8MB"}));
    const auto first = site.cluster().archive_current_segment();
    make_wal(site, 4);
    wait_until_archived(site);
    wait_until_idle(site);
    const auto before = archived(site);
    const auto second = *std::next(before.find(first));
    const auto target = site.new_path("got");
    REQUIRE(site.run({"archive-get", first, target}).status == 0);
    std::string entry;
    wait_until("the next segment in the queue", [&] {
        const auto queue = spool(site, "in");
        for (const auto& file : fs::directory_iterator(fs::exists(queue) ? queue : ".")) {
            const auto name = file.path().filename().string();
            entry = name.starts_with(second + "-") ? file.path().string() : entry;
        }
        return !entry.empty() && background_process(site) == 0;
    });
    const auto good = read_file(entry);
    SECTION("whole")
    {
        CHECK(site.run({"archive-get", second, target}).status == 0);
        CHECK_FALSE(fs::exists(entry));
    }
    SECTION("damaged")
    {
        flip_byte(entry, 500000);
        CHECK(site.run({"archive-get", second, target}).status == 0);
    }
    SECTION("cut off")
    {
        fs::resize_file(entry, 8192);
        CHECK(site.run({"archive-get", second, target}).status == 0);
    }
    SECTION("spool out of reach")
    {
        set_permissions(site.path("spool"), 0000);
        CHECK(site.run({"archive-get", second, target}).status == 0);
        set_permissions(site.path("spool"), 0750);
    }
    CHECK(read_file(target) == good);
}

TEST_CASE("absence is proved by the repository, never by a mark", "[async][archive][bug-24]")
{
    const auto retry = GENERATE(as<std::string>(), "y", "n");
    Site site(asynchronous({"archive-missing-retry=" + retry}));
    const auto name = site.cluster().archive_current_segment();
    const auto target = site.new_path("got");
    fs::create_directories(spool(site, "in"));
    write_file(spool(site, "in/" + name + ".ok"), "");

    CHECK(site.run({"archive-get", name, target}).status == 0);

    const auto missing = current_segment(site);
    CHECK(site.run({"archive-get", missing, target}).status == 1);
    write_file(spool(site, "in/" + missing + ".ok"), "");
    set_permissions(site.repository(), 0000);
    CHECK(site.run({"archive-get", missing, target}).status > 125);
    set_permissions(site.repository(), 0750);
}

TEST_CASE("a segment is acknowledged when every repository has it", "[async][archive][bug-25]")
{
    const TemporaryDirectory second;
    Site site(asynchronous({"repo2-path=" + second.path() + "/repo2"}));
    stop_archiving(site);
    make_wal(site, 3);
    const auto name = first_waiting(site);
    const auto path = site.cluster().path("pg_wal/" + name);
    const auto archive = second / "repo2/archive/main/15-1";
    set_permissions(archive, 0500);

    const auto result = site.run({"archive-push", path});

    CHECK(result.status == 104);
    CHECK_THAT(result.text(), Catch::Contains("repo2: [") && !Catch::Contains("repo1: ["));
    CHECK(archived(site).count(name) == 1);
    wait_until_idle(site);
    CHECK_FALSE(fs::exists(spool(site, "out/" + name + ".ok")));

    set_permissions(archive, 0750);
    site.must({"archive-push", path});
    CHECK(fs::exists(archive + "/" + name.substr(0, 16)));
    site.set_archiving(true);
    wait_until_archived(site);
}

TEST_CASE("a lock of somebody else keeps segments from being pushed, never from being got",
          "[async][archive][bug-46]")
{
    Site site(asynchronous());
    const auto name = site.cluster().archive_current_segment();
    stop_archiving(site);
    make_wal(site, 1);
    const auto next = first_waiting(site);
    wait_until_idle(site);
    const auto lock = site.path("lock/main-archive-1.lock");
    const BackgroundProcess holder({"/usr/bin/flock", "-x", lock, "/bin/sleep", "30"});
    wait_until("the lock", [&] { return fs::exists(lock); });
    std::this_thread::sleep_for(200ms);
    const auto target = site.new_path("got");

    CHECK(site.run({"archive-get", name, target}).status == 0);
    CHECK(site.run({"archive-get", next, target}).status == 1);
    const auto result =
        site.run({"archive-push", "--archive-timeout=1s", site.cluster().path("pg_wal/" + next)});
    CHECK(result.status == 82);
    CHECK_THAT(result.text(), Catch::Contains(next));
    CHECK(archived(site).count(next) == 0);
}

TEST_CASE("a request to end ends the process in the background cleanly", "[async][archive][bug-57]")
{
    Site site(asynchronous());
    stop_archiving(site);
    make_wal(site, 25);
    const auto path = site.cluster().path("pg_wal/" + first_waiting(site));
    site.must({"archive-push", "--process-max=1", path});
    const auto pid = background_process(site);
    REQUIRE(pid > 1);

    site.must({"stop", "--force"});

    wait_until_idle(site);
    CHECK_THAT(log_text(site, "main-archive-push-async.log"),
               Catch::Contains("terminated on signal SIGTERM") || Catch::Contains("[062]"));
    CHECK(acknowledged_too_early(site).empty());
    for (const auto& entry : fs::directory_iterator(spool(site, "out"))) {
        const auto marked = entry.path().stem().string();
        CAPTURE(marked);
        CHECK((marked == "global" || archived(site).count(marked) == 1));
    }
    site.must({"start"});
    site.set_archiving(true);
    wait_until_archived(site);
    CHECK(archived(site).size() >= 25);
}
