// SPDX-License-Identifier: PostgreSQL
#include "fake_s3.hpp"
#include "support/matchers.hpp"
#include "support/storage_contract.hpp"

#include "pgstrata/util/cancel.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <set>
#include <thread>

using namespace pgstrata;
using namespace pgstrata::storage;
using namespace pgstrata::test;

namespace {

const std::string kText(100, 'x');

// Whether a request is the one that makes an object visible.
bool is_publication(const SeenRequest& request)
{
    return request.query.find("uploadId") == std::string::npos ? request.method == "PUT"
                                                               : request.method == "POST";
}

S3Options in_parts(const FakeS3& fake)
{
    S3Options options = fake.options();
    options.part_size = 40;
    return options;
}

} // namespace

TEST_CASE("a store in memory keeps the storage contract whatever it makes of conditions", "[s3]")
{
    const auto conditions =
        GENERATE(FakeConditions::obeyed, FakeConditions::ignored, FakeConditions::refused);
    const std::size_t page_size = GENERATE(1U, 3U);
    check_storage_contract(
        [&] {
            auto fake = std::make_shared<FakeS3>();
            fake->conditions = conditions;
            fake->page_size = page_size;
            auto store = fake->open();
            return StorageUnderTest{std::move(fake), std::move(store)};
        },
        {.has_directories = false});
}

TEST_CASE("an answer that is lost at any byte does not lose or double a file",
          "[s3][bug-17][bug-44]")
{
    const bool is_large = GENERATE(false, true);
    const auto conditions = GENERATE(FakeConditions::obeyed, FakeConditions::refused);
    const std::size_t most = 400;
    for (std::size_t at = 0; at < most; at += 7) {
        CAPTURE(at, is_large);
        FakeS3 fake;
        fake.conditions = conditions;
        std::set<std::string> spoiled;
        fake.after = [&](const SeenRequest& request, HttpReply& reply) {
            const std::string what = request.method + request.path + "?" + request.query;
            if (spoiled.insert(what).second && at < render(reply).size()) {
                reply.reset_after = at;
            }
        };
        const auto store = fake.open(is_large ? in_parts(fake) : fake.options());

        write_text(*store, "a", kText);

        CHECK(fake.objects.at("root/a").body == kText);
        CHECK(fake.uploads.size() <= (is_large ? 1U : 0U)); // a lost answer to its begin
        CHECK(read_text(*store, "a") == kText);
        CHECK(names(*store, "") == "a");
        CHECK(store->info("a")->size == kText.size());
        fake.after = nullptr;
        CHECK_THROWS_MATCHES(
            write_text(*store, "a", "other"), Error, HasCode(ErrorCode::file_exists));
    }
}

TEST_CASE("a store that is busy for a while is asked again", "[s3][bug-44]")
{
    const auto reply = GENERATE(HttpReply{.status = 500},
                                HttpReply{.status = 502, .body = "<html>bad gateway</html>"},
                                HttpReply{.status = 503, .headers = {{"Retry-After", "0"}}},
                                HttpReply{.status = 408},
                                HttpReply{.status = 429},
                                error_reply(400, "RequestTimeout"),
                                error_reply(503, "SlowDown"));
    FakeS3 fake;
    int failures = 3;
    fake.before = [&](const SeenRequest&) {
        return failures-- > 0 ? std::optional(reply) : std::nullopt;
    };
    const auto store = fake.open();
    test::write_text(*store, "a", "x", WriteMode::replace);

    CHECK(fake.requests().size() == 4);
    failures = 2;
    CHECK(read_text(*store, "a") == "x");
    failures = 2;
    CHECK(names(*store, "") == "a");
    failures = 2;
    CHECK(store->remove("a"));
}

TEST_CASE("a store that stays busy is given up with its own words", "[s3][bug-44][bug-53]")
{
    FakeS3 fake;
    fake.before = [](const SeenRequest&) { return error_reply(503, "SlowDown", "please"); };
    const auto store = fake.open();
    const auto began = monotonic_milliseconds();
    try {
        store->info("a");
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::service);
        CHECK(std::string(error.what()) ==
              "unable to look at 's3://bucket/root/a': 503 SlowDown: please");
    }
    CHECK(monotonic_milliseconds() - began < 2000);
    CHECK(fake.requests().size() > 5);
}

TEST_CASE("the time that a store asks for is kept by all that use it", "[s3]")
{
    FakeS3 fake;
    bool is_first = true;
    fake.before = [&](const SeenRequest&) -> std::optional<HttpReply> {
        if (!std::exchange(is_first, false)) {
            return std::nullopt;
        }
        return HttpReply{.status = 503, .headers = {{"Retry-After", "1"}}};
    };
    S3Options options = fake.options();
    options.retry.limit_milliseconds = 5000;
    const auto store = fake.open(options);
    std::thread slowed([&] { store->info("a"); });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const auto began = monotonic_milliseconds();

    store->info("b");

    CHECK(monotonic_milliseconds() - began >= 500);
    slowed.join();
}

TEST_CASE("what does not pass fails at once", "[s3][bug-44]")
{
    const auto given = GENERATE(table<unsigned, std::string, ErrorCode, std::string>({
        {403, "AccessDenied", ErrorCode::access, "the user needs s3:"},
        {403, "InvalidAccessKeyId", ErrorCode::access, "'repo-s3-key'"},
        {403, "SignatureDoesNotMatch", ErrorCode::access, "repo-s3-key-secret"},
        {403, "RequestTimeTooSkewed", ErrorCode::access, "clock"},
        {400, "ExpiredToken", ErrorCode::access, ""},
        {404, "NoSuchBucket", ErrorCode::path_missing, "repo-s3-bucket"},
        {301, "PermanentRedirect", ErrorCode::service, "region"},
        {307, "TemporaryRedirect", ErrorCode::service, "region"},
        {403, "InvalidObjectState", ErrorCode::access, "archive class"},
        {404, "", ErrorCode::service, "repo-s3-uri-style"},
        {501, "NotImplemented", ErrorCode::service, ""},
        {400, "InvalidStorageClass", ErrorCode::service, ""},
    }));
    const auto status = std::get<0>(given);
    const std::string code = std::get<1>(given);
    const auto expected = std::get<2>(given);
    const std::string hint = std::get<3>(given);
    CAPTURE(status, code);
    FakeS3 fake;
    fake.before = [&](const SeenRequest&) {
        return code.empty() ? HttpReply{.status = status, .body = "not found"}
                            : error_reply(status, code, "words");
    };
    const auto store = fake.open();
    const auto check = [&](const auto& action) {
        const std::size_t before = fake.requests().size();
        try {
            action();
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.code() == expected);
            CHECK_THAT(error.what(), Catch::Contains(code.empty() ? ": 404" : code + ": words"));
            CHECK_THAT(error.hint(), Catch::Contains(hint));
            CHECK_THAT(error.what() + error.hint(), !Catch::Contains("canary"));
        }
        CHECK(fake.requests().size() == before + 1);
    };
    check([&] { store->info("a"); });
    check([&] { store->open("a"); });
    check([&] { names(*store, "a"); });
    check([&] { store->remove("a"); });
    check([&] { write_text(*store, "a", "x", WriteMode::replace); });
}

TEST_CASE("a refusal names the right that is missing", "[s3]")
{
    using Act = std::function<void(Storage&)>;
    const auto put = [](Storage& store) { write_text(store, "a", "x", WriteMode::replace); };
    const auto& [method, act, right] = GENERATE_COPY(table<std::string, Act, std::string>({
        {"GET", [](Storage& store) { store.open("a"); }, "s3:GetObject on 's3://bucket/root/*'"},
        {"GET", [](Storage& store) { store.open("a"); }, "s3:ListBucket on the bucket"},
        {"HEAD", [](Storage& store) { write_text(store, "a", "x"); }, "s3:GetObject"},
        {"GET", [](Storage& store) { names(store, "a"); }, "s3:ListBucket on the bucket 'bucket'"},
        {"PUT", put, "needs s3:PutObject on 's3://bucket/root/*'"},
        {"POST",
         [](Storage& store) { store.remove_all(std::vector<std::string>{"a"}); },
         "s3:DeleteObject on"},
        {"DELETE", [](Storage& store) { store.remove("old"); }, "s3:DeleteObject on"},
    }));
    CAPTURE(method, right);
    FakeS3 fake;
    fake.objects["root/old"] = {"x", ""};
    fake.before = [&, &refused = method](const SeenRequest& request) {
        return request.method == refused ? std::optional(error_reply(403, "AccessDenied"))
                                         : std::nullopt;
    };
    const auto store = fake.open();
    try {
        act(*store);
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::access);
        CHECK_THAT(error.hint(), Catch::Contains(right));
    }
}

TEST_CASE("what a new object takes besides is named with the right to write it", "[s3]")
{
    FakeS3 fake;
    fake.before = [](const SeenRequest&) { return error_reply(403, "AccessDenied"); };
    S3Options options = fake.options();
    options.tags = {{"a", "b"}};
    options.kms_key_id = "key";
    try {
        write_text(*fake.open(options), "a", "x", WriteMode::replace);
        FAIL("no error");
    } catch (const Error& error) {
        CHECK_THAT(error.hint(),
                   Catch::Contains("s3:PutObject, s3:PutObjectTagging, kms:GenerateDataKey"));
    }
}

TEST_CASE("a region and a clock that are wrong are told apart by the store's answer", "[s3]")
{
    FakeS3 fake;
    HttpReply reply = error_reply(301, "PermanentRedirect");
    SECTION("region")
    {
        reply.headers = {{"x-amz-bucket-region", "there"}};
    }
    SECTION("clock")
    {
        reply = error_reply(403, "RequestTimeTooSkewed");
        reply.headers = {{"Date", "Thu, 01 Jan 2026 00:00:00 GMT"}};
    }
    fake.before = [&](const SeenRequest&) { return reply; };
    const auto store =
        storage::make_s3_storage(fake.options(),
                                 {.variable = [](const std::string&) { return std::nullopt; },
                                  .now = [] { return UnixSeconds{1767225600 + 1000}; }});
    try {
        store->open("a");
        FAIL("no error");
    } catch (const Error& error) {
        CHECK_THAT(error.hint(),
                   Catch::Contains(reply.status == 301 ? "in region 'there', not 'here'"
                                                       : "is 1000 seconds ahead of the store's"));
    }
}

TEST_CASE("a listing that fails on its second page is an error", "[s3][bug-33]")
{
    const auto reply = GENERATE(
        error_reply(403, "AccessDenied"),
        error_reply(500, "InternalError"),
        error_reply(200, "AccessDenied"),
        HttpReply{.body = ""},
        HttpReply{.body = "<ListBucketResult><Contents><Key>root/c</Key>", .has_length = false});
    FakeS3 fake;
    fake.page_size = 2;
    for (const auto* name : {"a", "b", "c", "d", "e"}) {
        fake.objects["root/" + std::string(name)] = {};
    }
    const auto store = fake.open();
    CHECK(names(*store, "") == "a b c d e");

    fake.before = [&](const SeenRequest& request) {
        const bool is_second = request.query.find("continuation-token") != std::string::npos;
        return is_second ? std::optional(reply) : std::nullopt;
    };
    unsigned visits = 0;
    CHECK_THROWS_AS(store->list("", [&](const EntryInfo&) { ++visits; }), Error);
    CHECK(visits == 0);
}

TEST_CASE("a listing that never ends is given up", "[s3][bug-33]")
{
    FakeS3 fake;
    fake.before = [](const SeenRequest&) {
        return HttpReply{.body = "<ListBucketResult><IsTruncated>true</IsTruncated>"
                                 "<NextContinuationToken>x</NextContinuationToken>"
                                 "</ListBucketResult>"};
    };
    CHECK_THROWS_MATCHES(names(*fake.open(), ""), Error, HasCode(ErrorCode::protocol));
}

TEST_CASE("a damaged answer is asked for again before it is an error", "[s3]")
{
    FakeS3 fake;
    int damaged = 2;
    fake.after = [&](const SeenRequest&, HttpReply& reply) {
        if (damaged-- > 0) {
            reply.body.resize(reply.body.size() / 2);
        }
    };
    fake.objects["root/a"] = {};

    CHECK(names(*fake.open(), "") == "a");
}

TEST_CASE("a completion may be an error in spite of its status", "[s3][bug-44]")
{
    FakeS3 fake;
    SECTION("one that passes")
    {
        unsigned failures = 2;
        fake.before = [&](const SeenRequest& request) {
            const bool fails = is_publication(request) && failures > 0 && failures-- > 0;
            return fails ? std::optional(error_reply(200, "InternalError")) : std::nullopt;
        };
        write_text(*fake.open(in_parts(fake)), "a", kText);
        CHECK(fake.objects.at("root/a").body == kText);
    }
    SECTION("one that stays")
    {
        fake.before = [&](const SeenRequest& request) {
            return is_publication(request) ? std::optional(error_reply(200, "AccessDenied"))
                                           : std::nullopt;
        };
        const auto store = fake.open(in_parts(fake));
        CHECK_THROWS_MATCHES(
            write_text(*store, "a", kText, WriteMode::replace), Error, HasCode(ErrorCode::access));
        CHECK(fake.objects.empty());
    }
    CHECK(fake.uploads.empty());
}

TEST_CASE("an upload that fails is taken back", "[s3]")
{
    FakeS3 fake;
    fake.before = [](const SeenRequest& request) {
        return request.query.starts_with("partNumber=2")
                   ? std::optional(error_reply(403, "AccessDenied"))
                   : std::nullopt;
    };
    const auto store = fake.open(in_parts(fake));
    {
        const auto file = store->create("a");
        CHECK_THROWS_MATCHES(file->write(as_bytes(kText)), Error, HasCode(ErrorCode::access));
        CHECK(fake.uploads.size() == 1);
        CHECK_THROWS_MATCHES(file->commit(), Error, HasCode(ErrorCode::assertion));
    }
    CHECK(fake.uploads.empty());
    CHECK(fake.count("DELETE", "uploadId") == 1);
}

TEST_CASE("an upload is taken back when the process is asked to end", "[s3][bug-57]")
{
    FakeS3 fake;
    const auto store = fake.open(in_parts(fake));
    {
        const auto file = store->create("a");
        file->write(as_bytes(kText));
        set_pending_signal(SIGTERM);
        CHECK_THROWS_MATCHES(file->commit(), Error, HasCode(ErrorCode::terminated));
    }
    set_pending_signal(0);
    CHECK(fake.uploads.empty());
    CHECK(fake.objects.empty());
}

TEST_CASE("credentials that expire in the middle are renewed once", "[s3][bug-44]")
{
    FakeS3 fake;
    unsigned generation = 0;
    HttpServer metadata([&](const SeenRequest& request) {
        return request.path.ends_with("/role")
                   ? HttpReply{.body =
                                   fmt::format(R"({{"AccessKeyId": "id{}", "SecretAccessKey": "s",
                                                       "Token": "token{}"}})",
                                               generation + 1,
                                               generation + 1)}
                   : HttpReply{.body = "role"};
    });
    fake.before = [&](const SeenRequest& request) -> std::optional<HttpReply> {
        const bool is_good =
            request.header("x-amz-security-token") == fmt::format("token{}", generation + 1);
        if (is_good) {
            return std::nullopt;
        }
        return error_reply(400, "ExpiredToken");
    };
    S3Options options = fake.options();
    options.keys = {.type = S3KeyType::automatic};
    const auto store = storage::make_s3_storage(
        options,
        {.variable = [&](const std::string& name) -> std::optional<std::string> {
             return name == "AWS_EC2_METADATA_SERVICE_ENDPOINT" ? std::optional(metadata.url())
                                                                : std::nullopt;
         },
         .now = [] { return now_seconds(); }});
    write_text(*store, "a", "x", WriteMode::replace);
    CHECK(fake.requests().size() == 1);

    generation = 1;
    CHECK(read_text(*store, "a") == "x");
    CHECK(fake.requests().size() == 3);

    fake.before = [](const SeenRequest&) { return error_reply(400, "ExpiredToken"); };
    CHECK_THROWS_MATCHES(store->open("a"), Error, HasCode(ErrorCode::access));
    CHECK(fake.requests().size() == 5);
}
