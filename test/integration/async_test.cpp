// SPDX-License-Identifier: PostgreSQL
#include "integration/async_site.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <thread>

using namespace pgstrata::test;
using namespace std::chrono_literals;

namespace {

namespace fs = std::filesystem;

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

// Whether the repository takes WAL.
void set_writable(const Site& site, bool is_writable)
{
    for (const auto& entry : fs::recursive_directory_iterator(site.repository() + "/archive")) {
        if (entry.is_directory()) {
            fs::permissions(entry.path(), fs::perms(is_writable ? 0750 : 0550));
        }
    }
}

// Kills the process in the background `delay` after it was seen, if one comes up and lives that
// long.
bool kill_background_process(const Site& site, std::chrono::milliseconds delay)
{
    const auto end = std::chrono::steady_clock::now() + 500ms;
    for (; std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(2ms)) {
        // The file that a killed one left names it still.
        if (const auto pid = background_process(site); pid > 1 && ::kill(pid, 0) == 0) {
            std::this_thread::sleep_for(delay);
            return ::kill(pid, SIGKILL) == 0;
        }
    }
    return false;
}

// A segment that was stored beside the one that was pushed, and waits for PostgreSQL to ask. Nobody
// is at work.
std::string stored_beside_another(Site& site)
{
    stop_archiving(site);
    make_wal(site, 2);
    site.must({"archive-push", site.cluster().path("pg_wal/" + first_waiting(site))});
    wait_until_idle(site);
    const auto name = fs::directory_iterator(spool(site, "out"))->path().stem().string();
    REQUIRE(archived(site).count(name) == 1);
    return name;
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
        if (round % 3 == 0 && kill_background_process(site, round % 5 * 10ms)) {
            ++kills;
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
    const auto path = site.cluster().path("pg_wal/" + stored_beside_another(site));
    auto other = read_file(path);
    other[other.size() / 2] = static_cast<char>(other[other.size() / 2] ^ 1);
    write_file(path, other);

    CHECK(site.run({"archive-push", path}).status == 45);
}

TEST_CASE("who asks for a segment that has been stored loads no library for it", "[async][archive]")
{
    Site site(asynchronous());
    const auto marked = stored_beside_another(site);

    const auto result = site.run({"archive-push", site.cluster().path("pg_wal/" + marked)},
                                 {.environment = {{"LD_DEBUG", "files"}}});

    CHECK(result.status == 0);
    CHECK_FALSE(fs::exists(spool(site, "out/" + marked + ".ok")));
    CHECK_THAT(result.text(),
               Catch::Contains("libc.so") && !Catch::Contains("libcrypto") &&
                   !Catch::Contains("libstdc++") && !Catch::Contains("libfmt"));
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

TEST_CASE("a configuration that the environment names is found in the background too",
          "[async][archive]")
{
    Site site(asynchronous());
    stop_archiving(site);
    make_wal(site, 1);
    const auto name = first_waiting(site);

    const auto result = run_process(
        {program_under_test(),
         "--stanza=main",
         "--archive-timeout=5s",
         "archive-push",
         site.cluster().path("pg_wal/" + name)},
        {.environment = {{"PGSTRATA_CONFIG", "pgstrata.conf"}}, .directory = site.path("")});

    CHECK(result.status == 0);
    CHECK(archived(site).count(name) == 1);
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

TEST_CASE("a repository of another cluster gets no WAL and keeps it from no other",
          "[async][archive][two-repositories][bug-19][bug-25]")
{
    const auto mode = GENERATE(as<std::string>(), "y", "n");
    CAPTURE(mode);
    SiteOptions foreign;
    foreign.cluster.own_identity = true;
    const Site other(foreign);
    Site site(asynchronous());
    stop_archiving(site);
    make_wal(site, 1);
    const auto name = first_waiting(site);
    const auto push = [&](const std::vector<std::string>& repositories) {
        std::vector<std::string> words{"archive-push", "--archive-async=" + mode};
        words.insert(words.end(), repositories.begin(), repositories.end());
        words.push_back(site.cluster().path("pg_wal/" + name));
        return site.run(words);
    };

    const auto none = push({"--repo1-path=" + other.repository()});
    const auto some = push({"--repo2-path=" + other.repository()});

    CHECK(none.status == 44);
    CHECK(some.status == 104);
    CHECK_THAT(some.text(),
               Catch::Contains("repo2: [ArchiveMismatchError] ") && !Catch::Contains("repo1: ["));
    CHECK(archived(site).count(name) == 1);
    CHECK(archived(other).count(name) == 0);
    wait_until_idle(site);
    CHECK_FALSE(fs::exists(spool(site, "out/" + name + ".ok")));
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
    CHECK_THAT(result.text(),
               Catch::Contains(next) && Catch::Contains("another process is still at work"));
    CHECK(archived(site).count(next) == 0);
}

TEST_CASE("who waits in vain is told of the file that keeps his from being pushed",
          "[async][archive][bug-26]")
{
    Site site(asynchronous());
    stop_archiving(site);
    make_wal(site, 2);
    const auto first = first_waiting(site);
    const auto second = site.cluster().sql(
        "SELECT substr(max(name), 1, 24) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'");
    REQUIRE(first < second);
    set_permissions(site.cluster().path("pg_wal/" + first), 0000);

    const auto result = site.run({"archive-push",
                                  "--process-max=1",
                                  "--archive-timeout=3s",
                                  site.cluster().path("pg_wal/" + second)});

    set_permissions(site.cluster().path("pg_wal/" + first), 0600);
    CHECK(result.status == 82);
    CHECK_THAT(result.text(),
               Catch::Contains("failed to push WAL file '" + first + "'") &&
                   Catch::Contains("[FileOpenError]"));
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
