// SPDX-License-Identifier: PostgreSQL
#include "integration/async_site.hpp"
#include "support/ports.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>

// archive-push-queue-max

using namespace pgstrata::test;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

namespace {

namespace fs = std::filesystem;

// Takes connections and never says a word.
class SilentServer {
public:
    SilentServer() : port_(free_ports(1)), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port_));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(fd_, SOMAXCONN) == 0);
    }
    SilentServer(const SilentServer&) = delete;
    SilentServer& operator=(const SilentServer&) = delete;
    ~SilentServer() { ::close(fd_); }

    // Puts repo1 in there.
    std::map<std::string, std::string> environment() const
    {
        return {{"PGSTRATA_REPO1_TYPE", "s3"},
                {"PGSTRATA_REPO1_S3_ENDPOINT", "http://127.0.0.1:" + std::to_string(port_)},
                {"PGSTRATA_REPO1_S3_BUCKET", "bucket"},
                {"PGSTRATA_REPO1_S3_URI_STYLE", "path"},
                {"PGSTRATA_REPO1_S3_REGION", "region"},
                {"PGSTRATA_REPO1_S3_KEY", "key"},
                {"PGSTRATA_REPO1_S3_KEY_SECRET", "secret"}};
    }

private:
    unsigned port_;
    int fd_;
};

void end_background_process(const Site& site)
{
    if (const auto pid = background_process(site); pid > 1) {
        ::kill(pid, SIGTERM);
    }
    wait_until_idle(site);
}

} // namespace

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
    const auto first = first_waiting(site);
    site.set_archiving(true);
    wait_until_archived(site);
    const auto after = site.cluster().archive_current_segment();
    wait_until_idle(site);

    const auto gap = site.info().at("archive").at(0).at("gap").at(0);
    const auto dropped = gap.at("min").get<std::string>();
    // A process that was at work before may have stored the first of them.
    CHECK(dropped >= first);
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
    wait_until_idle(site);

    CHECK(site.info().at("archive").at(0).contains("gap"));
}

TEST_CASE("a full queue is dropped at once though the repository never answers",
          "[async][archive][bug-20]")
{
    const auto mode = GENERATE(as<std::string>(), "archive-async=y", "archive-async=n");
    CAPTURE(mode);
    auto options = asynchronous({"archive-push-queue-max=2MB"});
    options.settings.back() = mode;
    Site site(options);
    const SilentServer silent;
    stop_archiving(site);
    make_wal(site, 6);
    const auto name = first_waiting(site);

    const auto begin = Steady::now();
    const auto result = site.run({"archive-push", site.cluster().path("pg_wal/" + name)},
                                 {.environment = silent.environment()});

    CHECK(Steady::now() - begin < 5s);
    CHECK(result.status == 0);
    CHECK_THAT(result.text(), Catch::Contains("dropped WAL file '" + name + "'"));
    CHECK(fs::exists(spool(site, "out/" + name + ".gap")));
    end_background_process(site);
    site.set_archiving(true);
    site.cluster().archive_current_segment();
    wait_until_idle(site);
    CHECK(site.info().at("archive").at(0).at("gap").at(0).at("min") == name);
    CHECK_FALSE(fs::exists(spool(site, "out/" + name + ".gap")));
}

TEST_CASE("a full queue is dropped though the process in the background is stuck",
          "[async][archive][bug-20]")
{
    Site site(asynchronous({"archive-push-queue-max=2MB"}));
    const SilentServer silent;
    stop_archiving(site);
    make_wal(site, 1);
    const auto path = site.cluster().path("pg_wal/" + first_waiting(site));
    const ProcessOptions options{.environment = silent.environment()};
    CHECK(site.run({"archive-push", path, "--archive-timeout=1s"}, options).status == 82);
    make_wal(site, 6);

    const auto begin = Steady::now();
    const auto result = site.run({"archive-push", path}, options);

    CHECK(Steady::now() - begin < 10s);
    CHECK(result.status == 0);
    CHECK_THAT(result.text(), Catch::Contains("dropped WAL file"));
    CHECK(background_process(site) != 0);
    end_background_process(site);
}

TEST_CASE("a full queue is dropped soon where there is no spool either", "[archive][bug-20]")
{
    Site site({.cluster = {.wal_segment_mb = 1}, .settings = {"archive-push-queue-max=2MB"}});
    const SilentServer silent;
    stop_archiving(site);
    make_wal(site, 6);
    const auto path = site.cluster().path("pg_wal/" + first_waiting(site));
    set_permissions(site.path("spool"), 0500);

    const auto begin = Steady::now();
    const auto result = site.run({"archive-push", path}, {.environment = silent.environment()});

    CHECK(Steady::now() - begin < 20s);
    CHECK(result.status == 0);
    CHECK_THAT(result.text(),
               Catch::Contains("not every repository has a record") &&
                   Catch::Contains("dropped WAL file"));
    CHECK(site.run({"archive-push", path}).status == 0);
    CHECK(site.info().at("archive").at(0).at("gap").size() == 1);
    set_permissions(site.path("spool"), 0750);
}
