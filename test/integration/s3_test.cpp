// SPDX-License-Identifier: PostgreSQL
#include "support/ceph.hpp"
#include "support/data_directory_comparison.hpp"
#include "support/site.hpp"
#include "support/swift.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata::test;

namespace {

constexpr const char* kCanary = "canary-of-a-secret";

// Returns the label of the backup; there is a table that only the archive has.
std::string back_up_and_go_on(Site& site)
{
    site.cluster().load_pgbench(1);
    site.must({"check"});
    std::string label = site.backup();
    site.cluster().sql("create table after_backup as select 42 as answer");
    site.cluster().archive_current_segment();
    return label;
}

void check_restored(Site& site)
{
    const std::string accounts = "select count(*), sum(aid) from pgbench_accounts";
    const std::string rows = site.cluster().sql(accounts);
    site.cluster().stop();
    Cluster restored = site.restore({});
    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql(accounts) == rows);
    CHECK(restored.sql("select answer from after_backup") == "42");
}

} // namespace

TEST_CASE("a cluster is archived to, backed up to and restored from a bucket", "[s3]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    const bool is_tls = GENERATE(false, true);
    const std::string cipher = GENERATE("", "aes-256-gcm");
    CAPTURE(is_tls, cipher);
    Site site({.cipher = cipher,
               .settings = is_tls ? swift->repository_with_tls(1) : swift->repository(1)});
    const std::string label = back_up_and_go_on(site);

    const auto info = site.info();
    CHECK(info.at("status").at("code") == 0);
    CHECK(info.at("backup").size() == 1);
    CHECK(info.at("backup").at(0).at("label") == label);
    CHECK(site.must({"repo-ls", "backup/main"}).out.find(label) != std::string::npos);

    check_restored(site);
}

TEST_CASE("a cluster is backed up to and restored from the gateway of Ceph", "[s3][rgw]")
{
    const Ceph* ceph = Ceph::get();
    if (ceph == nullptr) {
        return;
    }
    Site site({.cipher = "aes-256-gcm", .settings = ceph->repository(1)});
    back_up_and_go_on(site);
    site.must({"verify"});
    check_restored(site);
}

TEST_CASE("what a bucket refuses ends a command with a status, a reason and a hint", "[s3][bug-53]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    auto settings = swift->repository(1);
    int status = 0;
    std::string reason;
    SECTION("a wrong secret")
    {
        settings.at(4) = std::string("repo1-s3-key-secret=") + kCanary;
        status = 105;
        reason = "SignatureDoesNotMatch";
    }
    SECTION("a bucket that is not there")
    {
        settings.at(1) = "repo1-s3-bucket=nowhere";
        status = 73;
        reason = "NoSuchBucket";
    }
    SECTION("a server that is not there")
    {
        settings.at(5) = "repo1-s3-endpoint=http://127.0.0.1:1";
        settings.emplace_back("io-timeout=300ms");
        status = 49;
        reason = "127.0.0.1";
    }
    if (reason.empty()) {
        return;
    }
    Site site({.settings = settings, .is_ready = false});
    site.cluster().start();

    const ProcessResult result = site.run({"stanza-create", "--log-level-console=detail"});

    CHECK(result.status == status);
    CHECK(result.text().find(reason) != std::string::npos);
    CHECK(result.text().find("HINT: ") != std::string::npos);
    CHECK(result.text().find(kCanary) == std::string::npos);
    // Anything from 1 to 125 would be taken for the end of the archive.
    CHECK(site.run({"archive-get", "000000010000000000000001", site.path("wal")}).status > 125);
}

TEST_CASE("check names the right that is missing in a bucket", "[s3][check]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    Site site({.settings = swift->repository(1)});

    const ProcessResult result =
        site.run({"check", "--log-level-console=info"},
                 {.environment = {{"PGSTRATA_REPO1_S3_KEY", Swift::kReaderKey}}});

    CHECK(result.status == 105);
    CHECK_THAT(result.text(),
               Catch::Contains("repo1: [") && Catch::Contains("403 AccessDenied") &&
                   Catch::Contains("s3:PutObject on 's3://test/"));
    site.must({"check"});
    CHECK_THAT(site.must({"repo-ls", "archive/main"}).out, !Catch::Contains("check-"));
}

TEST_CASE("a plain repository on a disk needs no library to be loaded", "[s3]")
{
    Site site({.is_ready = false});
    const ProcessOptions options{.environment = {{"LD_DEBUG", "files"}}};

    const ProcessResult result = site.run({"info"}, options);

    CHECK(result.text().find("libc.so") != std::string::npos);
    for (const char* library : {"libcrypto", "libcurl", "libpq", "libfmt", "libstdc++"}) {
        CAPTURE(library);
        CHECK(result.text().find(library) == std::string::npos);
    }
}
