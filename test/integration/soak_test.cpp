// SPDX-License-Identifier: PostgreSQL
#include "support/chain.hpp"
#include "support/swift.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

// Everything that goes wrong at night, again and again, for as long as SOAK_SECONDS says.

using namespace pgstrata::test;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kSegmentMegabytes = 1;
constexpr std::size_t kNameLength = 24;

std::chrono::seconds soak_time()
{
    const char* const text = std::getenv("SOAK_SECONDS");
    return std::chrono::seconds(text != nullptr ? std::stoul(text) : 30);
}

class Soak {
public:
    Soak()
        : site_({.cluster = {.wal_segment_mb = kSegmentMegabytes},
                 .settings = settings(swift_.description(), tag_.path())})
    {
    }

    Site& site() { return site_; }
    Cluster& cluster() { return site_.cluster(); }
    SwiftServer& swift() { return swift_; }

    // A load that does not outrun a slow machine.
    BackgroundProcess start_load(std::chrono::seconds time)
    {
        return BackgroundProcess(
            {client_program("pgbench"),
             "-n",
             "-c",
             "2",
             "-R",
             "300",
             "-T",
             std::to_string(time.count())},
            {.environment = cluster().connection(), .timeout = time + std::chrono::seconds(60)});
    }
    // Whether there was somebody to kill.
    bool kill_archiver() const
    {
        try {
            const auto lock =
                nlohmann::json::parse(read_file(site_.path("lock/main-archive-1.lock")));
            const auto pid = lock.at("pid").get<pid_t>();
            return pid > 1 && ::kill(pid, SIGKILL) == 0;
        } catch (const std::exception&) {
            return false; // no process, no lock
        }
    }
    // The segments of a repository with the names of their objects, which hold the digests.
    std::map<std::string, std::set<std::string>> segments(int repository) const
    {
        std::map<std::string, std::set<std::string>> result;
        std::istringstream lines(site_
                                     .must({"repo-ls",
                                            "--recurse",
                                            "--repo=" + std::to_string(repository),
                                            "archive/main"})
                                     .out);
        for (std::string line; std::getline(lines, line);) {
            const auto name = line.substr(line.rfind('/') + 1);
            if (name.size() > kNameLength && name[kNameLength] == '-') {
                result[name.substr(0, kNameLength)].insert(name);
            }
        }
        return result;
    }
    std::uint64_t position(const std::string& segment) const
    {
        constexpr std::uint64_t kSegmentsOfLog = 4096 / kSegmentMegabytes;
        return std::stoull(segment.substr(8, 8), nullptr, 16) * kSegmentsOfLog +
               std::stoull(segment.substr(16), nullptr, 16);
    }
    void check_restored(int repository, const std::string& rows)
    {
        CAPTURE(repository);
        auto restored = site_.restore({"--repo=" + std::to_string(repository)});
        restored.start();
        restored.wait_until_promoted();
        CHECK(fingerprint(restored) == rows);
        restored.stop();
        CHECK(restored.verify_checksums());
    }

private:
    static std::vector<std::string> settings(const Swift& swift, const std::string& path)
    {
        auto lines = swift.repository(2);
        lines.push_back("repo2-path=" + path);
        lines.emplace_back("repo2-retention-full=9");
        lines.emplace_back("archive-async=y");
        lines.emplace_back("io-timeout=2s");
        return lines;
    }

    TemporaryDirectory tag_;
    SwiftServer swift_;
    Site site_;
};

struct Disturbances {
    std::size_t kills = 0;
    std::size_t outages = 0;
};

// Kills the process in the background once a second or so, and takes the store away for a while
// twice in each `period`.
Disturbances disturb(Soak& soak, BackgroundProcess& load, std::chrono::seconds period)
{
    Disturbances done;
    auto next_outage = Clock::now() + period / 4;
    while (load.is_running()) {
        if (Clock::now() >= next_outage) {
            soak.swift().stop();
            std::this_thread::sleep_for(3s);
            done.kills += soak.kill_archiver() ? 1U : 0U;
            soak.swift().start();
            ++done.outages;
            next_outage = Clock::now() + period / 4;
        }
        // Not in step with anything else.
        std::this_thread::sleep_for(std::chrono::milliseconds(200 + std::rand() % 1500));
        done.kills += soak.kill_archiver() ? 1U : 0U;
        soak.cluster().try_sql("SELECT pg_switch_wal()");
    }
    return done;
}

} // namespace

TEST_CASE("two repositories get every segment while one goes away and archivers are killed",
          "[.][soak][s3][async][bug-17][bug-25][bug-26]")
{
    if (!Swift::is_installed()) {
        return;
    }
    const auto time = soak_time();
    Soak soak;
    soak.cluster().load_pgbench(2);
    soak.site().must({"backup", "--type=full", "--repo=1"});
    soak.site().must({"backup", "--type=full", "--repo=2"});
    const auto first = soak.cluster().archive_current_segment();
    auto load = soak.start_load(time);
    const auto disturbances = disturb(soak, load, std::min(time, 40s));
    CHECK(load.wait().status == 0);
    const auto rows = fingerprint(soak.cluster());
    const auto last = soak.cluster().archive_current_segment();

    const auto began = Clock::now();
    wait_until(
        "the archiver has nothing to do",
        [&] {
            return soak.cluster().sql("SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name "
                                      "LIKE '%.ready'") == "0";
        },
        5min);
    const auto on_disk = soak.segments(1);
    const auto in_bucket = soak.segments(2);
    const auto expected = soak.position(last) - soak.position(first) + 1;
    std::cerr << "soak: " << time.count() << " s, " << expected << " segments, "
              << disturbances.kills << " kills, " << disturbances.outages << " outages, done "
              << std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - began).count()
              << " s after the end, "
              << soak.cluster().sql("SELECT failed_count FROM pg_stat_archiver")
              << " refusals told to the server\n";
    CHECK(disturbances.kills > 0);
    CHECK(disturbances.outages > 0);
    CHECK(on_disk == in_bucket);
    for (const auto& [name, objects] : on_disk) {
        CAPTURE(name);
        CHECK(objects.size() == 1);
    }
    CHECK(std::distance(on_disk.find(first), on_disk.end()) ==
          static_cast<std::ptrdiff_t>(expected));
    soak.cluster().stop();
    soak.check_restored(1, rows);
    soak.check_restored(2, rows);
}
