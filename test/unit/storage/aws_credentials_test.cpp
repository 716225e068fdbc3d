// SPDX-License-Identifier: PostgreSQL
#include "storage/aws_credentials.hpp"
#include "support/http_server.hpp"
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <thread>

using namespace pgstrata;
using namespace pgstrata::storage;
using namespace pgstrata::test;

namespace {

constexpr UnixSeconds kNow = 1795249034; // 2026-11-21 08:17:14 UTC
const std::string kInAnHour = "2026-11-21T09:17:14Z";

std::string json_with(const std::string& access_key, const std::string& expiration)
{
    return R"({"Code": "Success", "AccessKeyId": ")" + access_key +
           R"(", "SecretAccessKey": "secret/+=", "Token": "token==", "Expiration": ")" +
           expiration + R"("})";
}

// An environment of variables, and a clock.
struct World {
    std::map<std::string, std::string> variables;
    UnixSeconds now = kNow;

    AwsSurroundings surroundings()
    {
        return {.variable = [this](const std::string& name) -> std::optional<std::string> {
                    const auto found = variables.find(name);
                    return found == variables.end() ? std::nullopt : std::optional(found->second);
                },
                .now = [this] { return now; },
                .metadata_timeout_milliseconds = 300};
    }
};

constexpr RetryOptions kQuick{.limit_milliseconds = 0, .first_wait_milliseconds = 1};

// The metadata service of an instance that has a role.
HttpReply instance_metadata(const SeenRequest& request)
{
    const std::string roles = "/latest/meta-data/iam/security-credentials/";
    if (request.method == "PUT" && request.path == "/latest/api/token") {
        return {.status =
                    request.headers.contains("x-aws-ec2-metadata-token-ttl-seconds") ? 200U : 400U,
                .body = "session"};
    }
    if (request.header("x-aws-ec2-metadata-token") != "session") {
        return {.status = 401};
    }
    if (request.path == roles) {
        return {.body = "the%role\n"};
    }
    if (request.path == roles + "the%25role") {
        return {.body = json_with("AKIDINSTANCE", kInAnHour)};
    }
    return {.status = 404};
}

} // namespace

TEST_CASE("the JSON of credentials is read with either name of the token", "[s3][credentials]")
{
    const std::string token = GENERATE("Token", "SessionToken");
    const AwsCredentials found = parse_credentials_json(
        R"({"Version": 1, "AccessKeyId": "id", "SecretAccessKey": "s", ")" + token + R"(": "t"})",
        "x");

    CHECK(found.access_key == "id");
    CHECK(found.secret_key.view() == "s");
    CHECK(found.token.view() == "t");
    CHECK_FALSE(found.expires);
    CHECK(parse_credentials_json(json_with("id", kInAnHour), "x").expires == kNow + 3600);
}

TEST_CASE("credentials that cannot be used are refused without being shown",
          "[s3][credentials][bug-53]")
{
    const std::string text =
        GENERATE("",
                 "null",
                 "[]",
                 "{",
                 R"({"AccessKeyId": "id", "SecretAccessKey": ""})",
                 R"({"SecretAccessKey": "canary"})",
                 R"({"AccessKeyId": 1, "SecretAccessKey": "canary"})",
                 R"({"AccessKeyId": "id", "SecretAccessKey": "canary\r\nx-evil: 1"})",
                 R"({"AccessKeyId": "id canary", "SecretAccessKey": "s"})",
                 R"({"AccessKeyId": "id", "SecretAccessKey": "canary", "SessionToken": "a\nb"})",
                 R"({"Version": 2, "AccessKeyId": "id", "SecretAccessKey": "canary"})",
                 R"({"AccessKeyId": "id", "SecretAccessKey": "canary", "Expiration": "later"})");
    CAPTURE(text);
    try {
        parse_credentials_json(text, "the program");
        FAIL("taken");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::protocol);
        CHECK_THAT(error.what(), !Catch::Contains("canary"));
        CHECK_THAT(error.what(), Catch::Contains("the program"));
    }
}

TEST_CASE("a metadata service that refuses says why", "[s3][credentials]")
{
    CHECK_THROWS_MATCHES(parse_credentials_json(R"({"Code": "AssumeRoleUnauthorizedAccess"})", "x"),
                         Error,
                         HasCode(ErrorCode::access));
}

TEST_CASE("the answer of the token service is read and wiped", "[s3][credentials][bug-53]")
{
    const std::string whole =
        R"(<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>canary-token</SessionToken>
<SecretAccessKey>canary&amp;secret</SecretAccessKey><Expiration>2026-11-21T09:17:14Z</Expiration>
<AccessKeyId>ASIA</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>)";
    std::string text = whole;

    const AwsCredentials found =
        parse_credentials_xml(std::as_writable_bytes(std::span(text.data(), text.size())));

    CHECK(found.access_key == "ASIA");
    CHECK(found.secret_key.view() == "canary&secret");
    CHECK(found.token.view() == "canary-token");
    CHECK(found.expires == kNow + 3600);
    CHECK_THAT(text, !Catch::Contains("canary"));

    for (std::size_t size = 0; size < whole.size(); ++size) {
        std::string cut = whole.substr(0, size);
        CAPTURE(size);
        CHECK_THROWS_MATCHES(
            parse_credentials_xml(std::as_writable_bytes(std::span(cut.data(), cut.size()))),
            Error,
            HasCode(ErrorCode::protocol));
    }
}

TEST_CASE("the credentials of a container are asked for on this host or by https",
          "[s3][credentials]")
{
    for (const auto* url : {"https://anywhere/x",
                            "http://127.0.0.1/x",
                            "http://localhost:80/x",
                            "http://169.254.170.23/v1",
                            "http://169.254.170.2/v2",
                            "http://[::1]:1/x",
                            "http://[fd00:ec2::23]/x"}) {
        CAPTURE(url);
        CHECK(is_allowed_container_address(url));
    }
    for (const auto* url : {"",
                            "ftp://localhost/",
                            "http://evil.example/",
                            "http://localhost.evil/",
                            "http://localhost@evil/",
                            "http://localhost:x@evil/",
                            "http://127.0.0.1.evil/",
                            "http:///x"}) {
        CAPTURE(url);
        CHECK_FALSE(is_allowed_container_address(url));
    }
}

TEST_CASE("shared keys are what the options say", "[s3][credentials]")
{
    World world;
    CredentialSource source({.access_key = codec::SecretText("id"),
                             .secret_key = codec::SecretText("s"),
                             .token = codec::SecretText("t")},
                            {},
                            kQuick,
                            world.surroundings());

    const auto found = source.current();
    CHECK(found->access_key == "id");
    CHECK(found->token.view() == "t");
    CHECK(source.current() == found);
    CHECK_FALSE(source.renew(found));
}

TEST_CASE("of all sources the environment comes first", "[s3][credentials]")
{
    HttpServer metadata(instance_metadata);
    World world;
    world.variables = {{"AWS_ACCESS_KEY_ID", "AKIDENV"},
                       {"AWS_SECRET_ACCESS_KEY", "s"},
                       {"AWS_SESSION_TOKEN", "t"},
                       {"AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url()}};
    CredentialSource source({.type = S3KeyType::automatic}, {}, kQuick, world.surroundings());

    CHECK(source.current()->access_key == "AKIDENV");
    CHECK(source.current()->token.view() == "t");
    CHECK(metadata.requests().empty());
}

TEST_CASE("an instance has its credentials from its metadata service", "[s3][credentials]")
{
    HttpServer metadata(instance_metadata);
    World world;
    world.variables = {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url()}};
    CredentialSource source({.type = S3KeyType::automatic}, {}, kQuick, world.surroundings());

    const auto found = source.current();

    CHECK(found->access_key == "AKIDINSTANCE");
    CHECK(found->expires == kNow + 3600);
    CHECK(metadata.requests().size() == 3);

    SECTION("and keeps them until they are about to expire [bug-44]")
    {
        world.now = kNow + 3600 - 301;
        CHECK(source.current() == found);
        world.now = kNow + 3600 - 299;
        CHECK(source.current() != found);
        CHECK(metadata.requests().size() == 6);
    }
    SECTION("and gets others when the store does not take them any more [bug-44]")
    {
        CHECK(source.renew(found));
        const auto others = source.current();
        CHECK(others != found);
        source.renew(found); // somebody who was late
        CHECK(source.current() == others);
    }
    SECTION("and gets them once for many that ask")
    {
        source.renew(found);
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&] { source.current(); });
        }
        for (auto& thread : threads) {
            thread.join();
        }
        CHECK(metadata.requests().size() == 6);
    }
}

TEST_CASE("a role that is given is not asked for", "[s3][credentials]")
{
    HttpServer metadata(instance_metadata);
    World world;
    world.variables = {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url()}};
    CredentialSource source(
        {.type = S3KeyType::automatic, .role = "the%role"}, {}, kQuick, world.surroundings());

    CHECK(source.current()->access_key == "AKIDINSTANCE");
    CHECK(metadata.requests().size() == 2);
}

TEST_CASE("without any credentials there is an error that helps", "[s3][credentials]")
{
    World world;
    SECTION("a service that does not answer")
    {
        {
            const HttpServer gone(instance_metadata);
            world.variables = {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", gone.url()}};
        }
        CredentialSource source({.type = S3KeyType::automatic}, {}, kQuick, world.surroundings());
        try {
            source.current();
            FAIL("found some");
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::host_connect);
            CHECK_THAT(error.hint(), Catch::Contains("repo-s3-key-type"));
        }
    }
    SECTION("an environment without what is needed")
    {
        const auto type = GENERATE(S3KeyType::web_identity, S3KeyType::pod_identity);
        CredentialSource source({.type = type}, {}, kQuick, world.surroundings());
        CHECK_THROWS_MATCHES(source.current(), Error, HasCode(ErrorCode::access));
    }
}

TEST_CASE("credentials are renewed a while before they expire", "[s3][credentials]")
{
    const auto& [lifetime, age, is_due] = GENERATE(table<UnixSeconds, UnixSeconds, bool>({
        {3600, 3299, false},
        {3600, 3300, true},
        {240, 179, false}, // a short life leaves less time
        {240, 180, true},
        {0, 0, true},
        {-60, 0, true},
        {3600, 7200, true},
    }));
    CAPTURE(lifetime, age);

    CHECK(is_renewal_due({.obtained = kNow, .expires = kNow + lifetime}, kNow + age) == is_due);
    CHECK_FALSE(is_renewal_due({.obtained = kNow}, kNow + age));
}

TEST_CASE("a renewal that failed is tried again some time later, or when there is none left",
          "[s3][credentials]")
{
    const CredentialLife life{
        .obtained = kNow, .expires = kNow + 3600, .renewal_failed = kNow + 3550};

    CHECK_FALSE(is_renewal_due(life, kNow + 3550));
    CHECK_FALSE(is_renewal_due(life, kNow + 3579));
    CHECK(is_renewal_due(life, kNow + 3580));
    CHECK(is_renewal_due({.obtained = kNow, .expires = kNow + 3600, .renewal_failed = kNow + 3590},
                         kNow + 3600));
}

TEST_CASE("old credentials serve while new ones cannot be had", "[s3][credentials][bug-44]")
{
    bool is_broken = false;
    HttpServer metadata([&](const SeenRequest& request) {
        return is_broken ? HttpReply{.status = 500} : instance_metadata(request);
    });
    World world;
    world.variables = {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url()}};
    CredentialSource source({.type = S3KeyType::automatic}, {}, kQuick, world.surroundings());
    const auto found = source.current();

    is_broken = true;
    world.now = kNow + 3500;
    CHECK(source.current() == found);
    const std::size_t requests = metadata.requests().size();
    world.now = kNow + 3510;
    CHECK(source.current() == found);
    CHECK(metadata.requests().size() == requests);
    world.now = kNow + 3540;
    CHECK(source.current() == found);
    CHECK(metadata.requests().size() > requests);
    world.now = kNow + 3600;
    CHECK_THROWS_MATCHES(source.current(), Error, HasCode(ErrorCode::access));
}

TEST_CASE("a web identity is exchanged for credentials", "[s3][credentials][bug-53]")
{
    TemporaryDirectory directory;
    std::ofstream(directory / "token") << "canary.jwt+/=\n";
    HttpReply reply;
    HttpServer service([&](const SeenRequest&) { return reply; });
    World world;
    world.variables = {{"AWS_ROLE_ARN", "arn:aws:iam::1:role/backup"},
                       {"AWS_WEB_IDENTITY_TOKEN_FILE", directory / "token"}};
    CredentialSource source({.type = GENERATE(S3KeyType::web_identity, S3KeyType::automatic),
                             .sts_host = service.url()},
                            {},
                            kQuick,
                            world.surroundings());

    SECTION("when the service agrees")
    {
        reply.body =
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            "<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            "</Credentials></AssumeRoleWithWebIdentityResult>"
            "</AssumeRoleWithWebIdentityResponse>";
        CHECK(source.current()->access_key == "ASIA");
        const SeenRequest seen = service.requests().at(0);
        CHECK(seen.method == "POST");
        CHECK(seen.query.empty()); // tokens in addresses end up in logs
        CHECK_THAT(seen.body, Catch::Contains("Action=AssumeRoleWithWebIdentity&"));
        CHECK_THAT(seen.body, Catch::Contains("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fbackup&"));
        CHECK_THAT(seen.body, Catch::Contains("WebIdentityToken=canary.jwt%2B%2F%3D"));
    }
    SECTION("when it refuses")
    {
        reply = {.status = 403,
                 .body =
                     "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
                     "</ErrorResponse>"};
        try {
            source.current();
            FAIL("taken");
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::access);
            CHECK_THAT(error.what(), Catch::Contains("403 AccessDenied: no"));
            CHECK_THAT(error.what(), !Catch::Contains("canary"));
        }
        CHECK(service.requests().size() == 1);
    }
}

TEST_CASE("a token service that is busy is asked again", "[s3][credentials]")
{
    TemporaryDirectory directory;
    std::ofstream(directory / "token") << "jwt";
    const auto busy =
        GENERATE("Throttling", "ThrottlingException", "IDPCommunicationError", "InternalFailure");
    CAPTURE(busy);
    HttpServer service([&](const SeenRequest&) {
        return HttpReply{.status = 400,
                         .body = fmt::format("<ErrorResponse><Error><Code>{}</Code>"
                                             "</Error></ErrorResponse>",
                                             busy)};
    });
    World world;
    world.variables = {{"AWS_ROLE_ARN", "role"},
                       {"AWS_WEB_IDENTITY_TOKEN_FILE", directory / "token"}};
    CredentialSource source({.type = S3KeyType::web_identity, .sts_host = service.url()},
                            {},
                            kQuick,
                            world.surroundings());

    CHECK_THROWS_MATCHES(source.current(), Error, HasCode(ErrorCode::access));

    CHECK(service.requests().size() == kQuick.least_tries);
}

TEST_CASE("a pod has its credentials from its agent", "[s3][credentials]")
{
    TemporaryDirectory directory;
    std::ofstream(directory / "token") << "pod-token\n";
    HttpServer agent([](const SeenRequest& request) {
        return request.header("authorization") == "pod-token"
                   ? HttpReply{.body = json_with("AKIDPOD", kInAnHour)}
                   : HttpReply{.status = 401};
    });
    World world;
    world.variables = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url() + "/v1/credentials"},
                       {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", directory / "token"}};
    CredentialSource source({.type = GENERATE(S3KeyType::pod_identity, S3KeyType::automatic)},
                            {},
                            kQuick,
                            world.surroundings());

    CHECK(source.current()->access_key == "AKIDPOD");

    world.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://evil.example/";
    source.renew(source.current());
    CHECK_THROWS_MATCHES(source.current(), Error, HasCode(ErrorCode::access));
}

TEST_CASE("a program gives credentials and sees none of our secrets", "[s3][credentials][bug-53]")
{
    World world;
    TemporaryDirectory directory;
    ::setenv("PGSTRATA_REPO1_CIPHER_PASS", "canary", 1);
    const std::string script = "env > '" + directory.path() + "/environment'; printf '%s' \"$1\"";
    CredentialSource source(
        {.type = S3KeyType::process,
         .process = {"sh", "-c", script, "sh", json_with("AKIDPROC", kInAnHour)}},
        {},
        kQuick,
        world.surroundings());

    CHECK(source.current()->access_key == "AKIDPROC");
    ::unsetenv("PGSTRATA_REPO1_CIPHER_PASS");
    std::ifstream file(directory / "environment");
    const std::string environment{std::istreambuf_iterator<char>(file), {}};
    CHECK_THAT(environment, Catch::Contains("PATH="));
    CHECK_THAT(environment, !Catch::Contains("canary"));

    CredentialSource failing(
        {.type = S3KeyType::process, .process = {"false"}}, {}, kQuick, world.surroundings());
    CHECK_THROWS_MATCHES(failing.current(), Error, HasCode(ErrorCode::execute));
}
