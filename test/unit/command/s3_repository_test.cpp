// SPDX-License-Identifier: PostgreSQL
#include "command/s3_repository.hpp"
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/command/repositories.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace pgstrata;
using namespace pgstrata::test;
using storage::S3KeyType;

namespace {

const std::string kBucket = "repo1-type=s3\nrepo1-path=/strata\nrepo1-s3-bucket=bucket\n"
                            "repo1-s3-endpoint=s3.example\nrepo1-s3-region=here\n";
const std::string kKeys = "repo1-s3-key=id\nrepo1-s3-key-secret=secret\n";

config::Config configure_bucket(const TemporaryDirectory& directory, const std::string& lines)
{
    std::ofstream(directory / "conf") << "[global]\n" << kBucket << lines;
    config::Environment environment;
    environment.arguments = {"info", "--config=" + (directory / "conf")};
    return config::load_config(environment);
}

} // namespace

TEST_CASE("a bucket needs little configuration", "[repositories][s3]")
{
    TemporaryDirectory directory;
    const storage::S3Options options = command::s3_options(configure_bucket(directory, kKeys), 1);

    CHECK(options.root == "/strata");
    CHECK(options.bucket == "bucket");
    CHECK(options.endpoint == "s3.example");
    CHECK(options.region == "here");
    CHECK(options.service == "s3");
    CHECK(options.uri_style == storage::S3UriStyle::host);
    CHECK(options.host.empty());
    CHECK(options.port == 0);
    CHECK(options.keys.type == S3KeyType::shared);
    CHECK(options.keys.access_key.view() == "id");
    CHECK(options.keys.secret_key.view() == "secret");
    CHECK(options.keys.token.empty());
    CHECK(options.tags.empty());
    CHECK(options.storage_class.empty());
    CHECK_FALSE(options.requester_pays);
    CHECK(options.part_size == 5U << 20U);
    CHECK(options.prefetch == 3);
    CHECK(options.read_over == 65536);
    CHECK(options.http.verify_tls);
    CHECK(options.http.ca_file.empty());
    CHECK(options.http.timeout_milliseconds == 60000);
    CHECK(options.retry.limit_milliseconds == 60000);
}

TEST_CASE("every option of a bucket has its place", "[repositories][s3]")
{
    TemporaryDirectory directory;
    const storage::S3Options options = command::s3_options(
        configure_bucket(
            directory,
            kKeys + "repo1-s3-token=token\nrepo1-s3-service=s3-outposts\nrepo1-s3-uri-style=path\n"
                    "repo1-storage-host=elsewhere\nrepo1-storage-port=9000\n"
                    "repo1-storage-ca-file=/ca.pem\nrepo1-storage-ca-path=/ca\n"
                    "repo1-storage-verify-tls=n\nrepo1-s3-kms-key-id=kms\n"
                    "repo1-s3-sse-customer-key=sse\nrepo1-storage-tag=a=1\nrepo1-storage-tag=b=2\n"
                    "repo1-s3-storage-class=STANDARD_IA\nrepo1-s3-requester-pays=y\n"
                    "repo1-storage-upload-chunk-size=16MiB\nrepo1-storage-prefetch=7\n"
                    "repo1-storage-read-over=0\nio-timeout=5s\n"
                    "tcp-keep-alive-idle=7\ntcp-keep-alive-interval=8\n"
                    "tcp-keep-alive-count=9\n"),
        1);

    CHECK(options.keys.token.view() == "token");
    CHECK(options.service == "s3-outposts");
    CHECK(options.uri_style == storage::S3UriStyle::path);
    CHECK(options.host == "elsewhere");
    CHECK(options.port == 9000);
    CHECK(options.http.ca_file == "/ca.pem");
    CHECK(options.http.ca_path == "/ca");
    CHECK_FALSE(options.http.verify_tls);
    CHECK(options.kms_key_id == "kms");
    CHECK(options.sse_customer_key.view() == "sse");
    CHECK(options.tags.size() == 2);
    CHECK(options.storage_class == "STANDARD_IA");
    CHECK(options.requester_pays);
    CHECK(options.part_size == 16U << 20U);
    CHECK(options.prefetch == 7);
    CHECK(options.read_over == 0);
    CHECK(options.http.timeout_milliseconds == 5000);
    CHECK(options.retry.limit_milliseconds == 5000);
    CHECK(options.http.keep_alive.is_on);
    CHECK(options.http.keep_alive.idle_seconds == 7);
    CHECK(options.http.keep_alive.interval_seconds == 8);
    CHECK(options.http.keep_alive.count == 9);
}

TEST_CASE("connections to a bucket can be left without probes", "[repositories][s3]")
{
    TemporaryDirectory directory;
    const auto options =
        command::s3_options(configure_bucket(directory, kKeys + "sck-keep-alive=n\n"), 1);

    CHECK_FALSE(options.http.keep_alive.is_on);
}

TEST_CASE("the way to the credentials is chosen by its name", "[repositories][s3]")
{
    TemporaryDirectory directory;
    const auto& [lines, type] = GENERATE(table<std::string, S3KeyType>({
        {"repo1-s3-key-type=auto\nrepo1-s3-role=role\n", S3KeyType::automatic},
        {"repo1-s3-key-type=web-id\nrepo1-s3-sts-host=sts.example\n", S3KeyType::web_identity},
        {"repo1-s3-key-type=pod-id\n", S3KeyType::pod_identity},
        {"repo1-s3-key-type=process\nrepo1-s3-process-cmd=/bin/keys\nrepo1-s3-process-cmd=--now\n",
         S3KeyType::process},
    }));
    const storage::S3KeyOptions keys =
        command::s3_options(configure_bucket(directory, lines), 1).keys;

    CHECK(keys.type == type);
    CHECK(keys.access_key.empty());
    CHECK((keys.role == "role") == (type == S3KeyType::automatic));
    CHECK(keys.sts_host == (type == S3KeyType::web_identity ? "sts.example" : "sts.amazonaws.com"));
    CHECK(keys.process == (type == S3KeyType::process
                               ? std::vector<std::string>{"/bin/keys", "--now"}
                               : std::vector<std::string>{}));
}

TEST_CASE("keys that are missing are asked for", "[repositories][s3]")
{
    TemporaryDirectory directory;

    CHECK_THROWS_MATCHES(
        configure_bucket(directory, ""), Error, HasCode(ErrorCode::option_required));
}

TEST_CASE("a repository in a bucket is opened without a request", "[repositories][s3]")
{
    TemporaryDirectory directory;
    const auto store = command::open_storage(configure_bucket(directory, kKeys), 1);

    CHECK(store->location() == "s3://bucket/strata");
    CHECK_FALSE(store->is_listing_cheap());
}
