// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"
#include "support/swift.hpp"

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/repository.hpp"
#include "pgstrata/util/time.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

// Two hosts that share a bucket and nothing else.

using namespace pgstrata::test;
using namespace pgstrata;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

// A site in a bucket, and what a second host has of its own.
class Shared {
public:
    explicit Shared(const Swift& swift)
        : site_({.place = {"bucket",
                           swift.repository(1),
                           [&](const std::string& root) { return swift.open(root); }}}),
          storage_(swift.open(site_.repository())),
          repository_(repository::Repository::open(*storage_, {}))
    {
    }

    Site& site() { return site_; }
    // COMMAND as the other host runs it.
    std::vector<std::string> elsewhere(std::vector<std::string> arguments) const
    {
        for (const std::string what : {"lock", "log"}) {
            fs::create_directories(site_.path("elsewhere/" + what));
            arguments.push_back("--" + what + "-path=" + site_.path("elsewhere/" + what));
        }
        return arguments;
    }
    // What a host that nothing is known of has stored of a backup, and when it last said so.
    void leave_backup(const std::string& label, unsigned seconds_ago) const
    {
        repository_->write_document(
            repository::lease_path("main", label),
            {{"host", "far-away"},
             {"boot-id", "00000000-0000-0000-0000-000000000000"},
             {"pid", 4711U},
             {"pid-started", 4711U},
             {"renewed", static_cast<std::uint64_t>(now_seconds()) - seconds_ago}},
            storage::WriteMode::replace);
        site_.replace_object("backup/main/" + label + "/pack/000001", "frames");
    }
    // A later label that builds on a full backup.
    static std::string incremental_of(const std::string& full)
    {
        return repository::make_backup_label(repository::BackupType::incr, full, now_seconds() + 1);
    }

private:
    Site site_;
    std::unique_ptr<storage::Storage> storage_;
    std::unique_ptr<repository::Repository> repository_;
};

} // namespace

TEST_CASE("a backup of another host is neither expired nor loses what it builds on",
          "[s3][two-hosts][expire][bug-28]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    Shared shared(*swift);
    Site& site = shared.site();
    const std::string first = site.backup();
    const std::string second = site.backup();
    const std::string other = Shared::incremental_of(first);
    const std::vector<std::string> expire{
        "expire", "--repo1-retention-full=1", "--log-level-console=info"};
    shared.leave_backup(other, repository::kLeaseLifeSeconds - 60);
    const std::string needed = site.info().at("backup").at(1).at("archive").at("start");
    const auto wal = site.objects(needed);

    const auto here = site.must(expire);
    const auto there = site.must(shared.elsewhere(expire));

    CAPTURE(here.text(), there.text());
    CHECK(site.labels() == std::vector<std::string>{first, second});
    CHECK(site.objects(other + "/pack/").size() == 1);
    CHECK(site.objects(needed) == wal);
    const auto refused = site.run({"expire", "--set=" + first});
    CHECK(refused.status == 104);
    CHECK_THAT(refused.text(),
               Contains("[LockAcquireError]") && Contains(other) && Contains("in progress"));
    const auto busy = site.run({"backup", "--type=full"});
    CHECK(busy.status == 50);
    CHECK_THAT(busy.text(), Contains(other) && Contains("maybe on another host"));
    CHECK(site.info().at("incomplete").at(0).at("label") == other);

    // Its host has died.
    shared.leave_backup(other, repository::kLeaseLifeSeconds + 1);
    const std::string third = site.backup();
    site.must(expire);
    CHECK(site.labels() == std::vector<std::string>{third});
    CHECK(site.objects(first).size() == 1); // its history
    CHECK(site.objects(other).empty());
    site.must({"verify"});
}

TEST_CASE("two hosts that expire at once come to the same end", "[s3][two-hosts][expire][bug-28]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    Shared shared(*swift);
    Site& site = shared.site();
    for (int i = 0; i < 3; ++i) {
        site.backup();
        site.cluster().archive_current_segment();
    }
    const std::string newest = site.labels().back();
    const std::vector<std::string> expire{"expire", "--repo1-retention-full=1"};

    auto one = site.start(expire);
    auto two = site.start(shared.elsewhere(expire));
    const auto first = one.wait();
    const auto second = two.wait();

    CAPTURE(first.text(), second.text());
    CHECK(first.status == 0);
    CHECK(second.status == 0);
    CHECK(site.labels() == std::vector<std::string>{newest});
    CHECK(site.objects("/backup.json").size() == 1);
    CHECK(site.objects("/lease").empty());
    const auto before = site.objects("");
    site.must(expire);
    CHECK(site.objects("") == before);
    site.must({"verify"});
}

TEST_CASE("two hosts may push the same WAL but not different WAL of one name",
          "[s3][two-hosts][archive][bug-18]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    Shared shared(*swift);
    Site& site = shared.site();
    site.cluster().add_setting("archive_command = '/bin/true'");
    site.cluster().add_setting("wal_keep_size = '1GB'");
    site.cluster().restart();
    const auto name = site.cluster().sql("SELECT pg_walfile_name(pg_create_restore_point('x'))");
    site.cluster().sql("SELECT pg_switch_wal()");
    const std::string path = site.cluster().path("pg_wal/" + name);
    fs::create_directory(site.path("other"));
    const std::string changed = site.path("other/" + name);
    fs::copy_file(path, changed);
    flip_byte(changed, 9000);

    auto one = site.start({"archive-push", path});
    auto two = site.start(shared.elsewhere({"archive-push", path}));
    CHECK(one.wait().status == 0);
    CHECK(two.wait().status == 0);
    CHECK(site.objects(name).size() == 1);

    const auto refused = site.run(shared.elsewhere({"archive-push", changed}));
    CHECK(refused.status == 45);
    CHECK(site.objects(name).size() == 1);
}
