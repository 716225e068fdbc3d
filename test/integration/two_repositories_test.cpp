// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

using namespace pgstrata::test;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

// A site with a plain and an encrypted repository.
class Pair {
public:
    Pair()
        : site_({.cluster = {.settings = {"wal_keep_size = '1GB'"}},
                 .settings = {"repo2-path=" + second_.path(),
                              "repo2-retention-full=9",
                              "repo2-cipher-type=aes-256-gcm",
                              "repo2-cipher-pass="
                              "VGhpcyBzZWNyZXQgaXMgZ2VuZXJhdGVkLCBzbyBpdCBuZWVkcyBubyBzY3J5cHQh"}})
    {
    }

    Site& site() { return site_; }
    const std::string& second() const { return second_.path(); }
    // Whether a repository has an object with this in its path.
    bool has(int repository, const std::string& part) const
    {
        const auto listing =
            site_.must({"repo-ls", "--recurse", "--repo=" + std::to_string(repository)}).out;
        return listing.find(part) != std::string::npos;
    }
    int get(const std::string& name, const std::vector<std::string>& options = {})
    {
        std::vector<std::string> all{"archive-get", name, site_.new_path("got")};
        all.insert(all.end(), options.begin(), options.end());
        return site_.run(all).status;
    }
    ProcessResult push(const std::string& name)
    {
        return site_.run({"archive-push", site_.cluster().path("pg_wal/" + name)});
    }
    // A segment that the server has and no repository.
    std::string make_unarchived_segment()
    {
        site_.must({"stop"}); // the server tries again and again
        auto& cluster = site_.cluster();
        auto name = cluster.sql("SELECT pg_walfile_name(pg_create_restore_point('end'))");
        cluster.sql("SELECT pg_switch_wal()");
        cluster.add_setting("archive_command = '/bin/true'");
        cluster.restart();
        site_.must({"start"});
        return name;
    }
    // Of the backups in a repository.
    std::vector<std::string> labels(int repository) const
    {
        std::vector<std::string> result;
        const auto stanza = site_.info();
        for (const auto& backup : stanza.at("backup")) {
            if (backup.at("database").at("repo-key") == repository) {
                result.push_back(backup.at("label").get<std::string>());
            }
        }
        return result;
    }

private:
    TemporaryDirectory second_;
    Site site_;
};

// Takes the right to write away from a directory and all below it, or gives it back.
void set_writable(const std::string& directory, bool is_writable)
{
    const auto change = is_writable ? fs::perm_options::add : fs::perm_options::remove;
    fs::permissions(directory, fs::perms::owner_write, change);
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        if (entry.is_directory()) {
            fs::permissions(entry.path(), fs::perms::owner_write, change);
        }
    }
}

} // namespace

TEST_CASE("WAL goes to both repositories and comes from either", "[two-repositories]")
{
    Pair pair;
    const auto name = pair.site().cluster().archive_current_segment();

    CHECK(pair.has(1, name + "-"));
    CHECK(pair.has(2, name + "-"));
    pair.site().must({"check", "--archive-timeout=10s"});
    CHECK(pair.get(name) == 0);
    CHECK(pair.get(name, {"--repo=1"}) == 0);
    CHECK(pair.get(name, {"--repo=2"}) == 0);
    CHECK(pair.get(name, {"--repo=3"}) == 128 + 32);
}

TEST_CASE("a push that one repository does not take fails, and the other has the file",
          "[two-repositories][bug-17]")
{
    const auto broken = GENERATE(1, 2);
    CAPTURE(broken);
    Pair pair;
    const auto name = pair.make_unarchived_segment();
    const auto archive = (broken == 1 ? pair.site().repository() : pair.second()) + "/archive";
    set_writable(archive, false);

    const auto failed = pair.push(name);

    CHECK(failed.status == 104);
    CHECK_THAT(failed.text(), Contains("repo" + std::to_string(broken) + ": ["));
    CHECK_FALSE(pair.has(broken, name));
    CHECK(pair.has(3 - broken, name));

    set_writable(archive, true);
    CHECK(pair.push(name).status == 0);
    CHECK(pair.has(broken, name));
}

TEST_CASE("a push that no repository takes is told apart", "[two-repositories]")
{
    Pair pair;
    const auto name = pair.make_unarchived_segment();
    fs::rename(pair.site().repository(), pair.site().repository() + "-away");
    fs::rename(pair.second() + "/archive", pair.second() + "/away");

    const auto failed = pair.push(name);

    CHECK(failed.status == 103);
    CHECK_THAT(failed.text(), Contains("repo1: [") && Contains("repo2: ["));
}

TEST_CASE("a segment that only one repository has is found there", "[two-repositories][bug-24]")
{
    const auto owner = GENERATE(1, 2);
    CAPTURE(owner);
    Pair pair;
    const auto name = pair.site().cluster().archive_current_segment();
    const auto other = owner == 1 ? pair.second() : pair.site().repository();
    fs::remove_all(other + "/archive/main/15-1/" + name.substr(0, 16));

    CHECK(pair.get(name) == 0);
    CHECK(pair.get(name, {"--repo=" + std::to_string(owner)}) == 0);
    CHECK(pair.get(name, {"--repo=" + std::to_string(3 - owner)}) == 1);
}

TEST_CASE("a segment is not called absent while one repository cannot be asked",
          "[two-repositories][bug-24]")
{
    Pair pair;
    const auto name = pair.site().cluster().archive_current_segment();
    const std::string absent = "0000000100000000000000FE";
    CHECK(pair.get(absent) == 1);

    fs::rename(pair.site().repository(), pair.site().repository() + "-away");

    CHECK(pair.get(name) == 0);
    CHECK(pair.get(absent) > 125);
    CHECK(pair.get(absent, {"--repo=2"}) == 1);
}

TEST_CASE("backups go to one repository and are restored from where they are", "[two-repositories]")
{
    Pair pair;
    auto& site = pair.site();
    site.cluster().sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    site.backup();
    // A label is of the second it was made in, and each repository has its own: a quick machine
    // would give both the same.
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    site.must({"backup", "--type=full", "--repo=2"});
    site.cluster().sql("INSERT INTO t VALUES (2)");
    site.cluster().archive_current_segment();

    REQUIRE(pair.labels(1).size() == 1);
    REQUIRE(pair.labels(2).size() == 1);
    REQUIRE(pair.labels(1) != pair.labels(2));
    const auto target = site.new_path("target");
    const auto second =
        site.must({"restore", "--repo=2", "--pg1-path=" + target, "--log-level-console=info"});
    CHECK_THAT(second.out, Contains("repo2: restore backup set " + pair.labels(2)[0]));

    auto named = site.restore({"--set=" + pair.labels(2)[0]});
    named.start();
    named.wait_until_promoted();
    CHECK(named.sql("SELECT count(*) FROM t") == "2");
    CHECK(site.run({"restore",
                    "--repo=1",
                    "--set=" + pair.labels(2)[0],
                    "--pg1-path=" + site.new_path("target")})
              .status == 75);
}

TEST_CASE("a restore takes the backup of the repository that has one", "[two-repositories]")
{
    Pair pair;
    auto& site = pair.site();
    site.must({"backup", "--type=full", "--repo=2"});
    site.cluster().sql("CREATE TABLE t AS SELECT 1 AS a");
    site.cluster().archive_current_segment();

    auto restored = site.restore({});

    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql("SELECT a FROM t") == "1");
}

TEST_CASE("when a repository is gone recovery ends only if it was not asked for",
          "[two-repositories][bug-24]")
{
    Pair pair;
    auto& site = pair.site();
    site.must({"backup", "--type=full", "--repo=2"});
    site.cluster().sql("CREATE TABLE t AS SELECT 1 AS a");
    site.cluster().archive_current_segment();
    fs::rename(site.repository(), site.repository() + "-away");

    const auto planned =
        site.run({"restore", "--dry-run", "--pg1-path=" + site.new_path("planned")});
    CHECK(planned.status == 0);
    CHECK_THAT(planned.out, Contains("passed over:    repo1: [FileMissingError]"));
    CHECK_THAT(planned.err, Contains("unable to use every repository:"));
    auto from_both = site.restore({});
    auto from_second = site.restore({"--repo=2"});

    // The one that is gone may have had more WAL.
    CHECK_FALSE(from_both.try_start());
    CHECK_THAT(from_both.log(), Contains("not every repository could be asked"));
    from_second.start();
    from_second.wait_until_promoted();
    CHECK(from_second.sql("SELECT a FROM t") == "1");
}

TEST_CASE("info shows the repositories one by one and together", "[two-repositories]")
{
    Pair pair;
    pair.site().backup();

    const auto both = pair.site().info();
    CHECK(both.at("cipher") == "mixed");
    CHECK(both.at("repo").size() == 2);
    CHECK(both.at("archive").size() == 2);
    CHECK(both.at("status").at("code") == 4);
    CHECK(pair.site().info({"--repo=1"}).at("status").at("code") == 0);
    CHECK(pair.site().info({"--repo=2"}).at("status").at("code") == 2);

    fs::rename(pair.second() + "/archive", pair.second() + "/away");
    const auto result = pair.site().run({"info"});
    CHECK(result.status == 0);
    CHECK_THAT(result.out, Contains("repo1: ok") && Contains("repo2: error"));
}
