// SPDX-License-Identifier: PostgreSQL
#include "fake_s3.hpp"
#include "storage/s3_upload.hpp"
#include "support/matchers.hpp"
#include "support/process.hpp"
#include "support/storage_contract.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/util/hex.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <future>
#include <set>

using namespace pgstrata;
using namespace pgstrata::storage;
using namespace pgstrata::test;

namespace {

std::string counting(std::size_t size)
{
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) {
        text += fmt::format("{:08}", i);
    }
    text.resize(size);
    return text;
}

std::string read_at(const RandomSource& source, std::uint64_t offset, std::size_t size)
{
    std::string text(size, '\0');
    text.resize(
        source.read_at(offset, std::as_writable_bytes(std::span(text.data(), text.size()))));
    return text;
}

} // namespace

TEST_CASE("parts grow so that the largest object stays below the limit", "[s3]")
{
    constexpr std::uint64_t kLargestObject = std::uint64_t{5} << 40U;
    constexpr std::size_t kMebibyte = 1U << 20U;
    const std::size_t first =
        GENERATE(5 * kMebibyte, 6 * kMebibyte, 64 * kMebibyte, 1024 * kMebibyte);
    CAPTURE(first);

    std::uint64_t sum = 0;
    std::size_t before = 0;
    for (unsigned number = 1; number <= kMostParts; ++number) {
        const std::size_t size = part_size(number, first);
        REQUIRE(size >= before);
        REQUIRE(size <= 1024 * kMebibyte);
        before = size;
        sum += size;
    }

    CHECK(sum >= kLargestObject);
    CHECK(part_size(1, first) == first);
    CHECK(part_size(500, first) == first);
    CHECK(part_size(501, first) == std::min(2 * first, 1024 * kMebibyte));
}

TEST_CASE("options of the storage are on the requests that they concern", "[s3]")
{
    FakeS3 fake;
    S3Options options = fake.options();
    options.part_size = 40;
    options.kms_key_id = "key/1";
    options.sse_customer_key = codec::SecretText("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    options.tags = {{"team", "a b"}, {"cost", "1&2"}};
    options.storage_class = "STANDARD_IA";
    options.requester_pays = true;
    options.keys.token = codec::SecretText("token");
    const auto store = fake.open(options);
    write_text(*store, "small", "x", WriteMode::replace);
    write_text(*store, "large", counting(100), WriteMode::replace);
    read_text(*store, "large");
    store->info("large");
    names(*store, "");

    for (const SeenRequest& request : fake.requests()) {
        CAPTURE(request.method, request.path, request.query);
        const bool is_new =
            request.query == "uploads=" || (request.method == "PUT" && request.query.empty());
        const bool is_listing = request.query.find("list-type") != std::string::npos;
        CHECK((request.header("x-amz-tagging") == "cost=1%262&team=a%20b") == is_new);
        CHECK((request.header("x-amz-storage-class") == "STANDARD_IA") == is_new);
        CHECK((request.header("x-amz-server-side-encryption") == "aws:kms") == is_new);
        CHECK((request.header("x-amz-server-side-encryption-aws-kms-key-id") == "key/1") == is_new);
        CHECK((request.header("x-amz-server-side-encryption-customer-algorithm") == "AES256") !=
              is_listing);
        CHECK((request.header("x-amz-server-side-encryption-customer-key-md5") ==
               "KYvwGXoFFJ42a2u2GDWhwQ==") != is_listing);
        CHECK(request.header("x-amz-request-payer") == "requester");
        CHECK(request.header("x-amz-security-token") == "token");
        CHECK(request.header("x-amz-content-sha256") ==
              to_hex(codec::sha256(as_bytes(request.body))));
        const std::string signature = request.header("authorization");
        for (const auto& [name, value] : request.headers) {
            if (name.starts_with("x-amz-") || name == "host") {
                CHECK_THAT(signature, Catch::Contains(name));
            }
        }
    }
    CHECK(fake.count("POST", "uploads=") == 1);
    CHECK(fake.count("PUT", "partNumber=3") == 1);
}

TEST_CASE("a bucket that wants digests gets them from then on", "[s3][bug-44]")
{
    FakeS3 fake;
    fake.before = [](const SeenRequest& request) -> std::optional<HttpReply> {
        const bool is_wanting = request.method == "PUT" && request.header("content-md5").empty();
        if (!is_wanting) {
            return std::nullopt;
        }
        return error_reply(
            400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required");
    };
    const auto store = fake.open();

    write_text(*store, "a", "x", WriteMode::replace);
    write_text(*store, "b", "y", WriteMode::replace);

    CHECK(fake.requests().size() == 3);
    CHECK(fake.requests().at(2).header("content-md5") == to_base64(codec::md5(as_bytes("y"))));
}

TEST_CASE("all requests under way when a bucket first wants digests are repeated with them", "[s3]")
{
    FakeS3 fake;
    fake.before = [](const SeenRequest& request) -> std::optional<HttpReply> {
        if (request.method != "PUT" || !request.header("content-md5").empty()) {
            return std::nullopt;
        }
        HttpReply reply = error_reply(400, "InvalidRequest", "Content-MD5 is required");
        reply.delay = std::chrono::milliseconds(300); // until the other one is on its way
        return reply;
    };
    const auto store = fake.open();
    const auto write = [&](const char* name) {
        return std::async(std::launch::async,
                          [&, name] { write_text(*store, name, "x", WriteMode::replace); });
    };
    auto first = write("a");
    auto second = write("b");

    CHECK_NOTHROW(first.get());
    CHECK_NOTHROW(second.get());

    CHECK(fake.objects.size() == 2);
}

TEST_CASE("a condition guards a name as soon as the store is known to obey it", "[s3]")
{
    FakeS3 fake;
    SECTION("obeyed")
    {
        const auto store = fake.open();
        write_text(*store, "a", "x");
        CHECK(fake.count("HEAD") == 1);
        const auto late = store->create("c");
        fake.before = [&](const SeenRequest& request) -> std::optional<HttpReply> {
            if (request.method == "HEAD" && !fake.objects.contains("root/c")) {
                fake.objects["root/c"] = {"of another host", "other"};
                return HttpReply{.status = 404};
            }
            return std::nullopt;
        };
        CHECK_THROWS_MATCHES(late->commit(), Error, HasCode(ErrorCode::file_exists));
        fake.before = nullptr;
        const std::size_t before = fake.requests().size();
        write_text(*store, "d", "x");
        CHECK(fake.requests().size() == before + 1);
        CHECK(fake.objects.at("root/c").body == "of another host");
    }
    SECTION("refused")
    {
        fake.conditions = FakeConditions::refused;
        const auto store = fake.open();
        write_text(*store, "a", "x");
        CHECK(fake.requests().size() == 3);
        write_text(*store, "b", "x");
        CHECK(fake.requests().size() == 5);
        CHECK_THROWS_MATCHES(write_text(*store, "b", "y"), Error, HasCode(ErrorCode::file_exists));
        CHECK(fake.requests().size() == 6);
    }
    SECTION("another reason for 501 is told")
    {
        fake.before = [](const SeenRequest& request) {
            return request.method == "PUT"
                       ? std::optional(error_reply(501, "NotImplemented", "no tags"))
                       : std::nullopt;
        };
        const auto store = fake.open();
        CHECK_THROWS_MATCHES(write_text(*store, "a", "x"), Error, HasCode(ErrorCode::service));
    }
}

TEST_CASE("what is named by its contents is written without a look", "[s3]")
{
    constexpr auto kMode = WriteMode::once_named_by_contents;
    FakeS3 fake;
    SECTION("a condition guards it all the same")
    {
        const auto store = fake.open();
        write_text(*store, "a", "x", kMode);
        write_text(*store, "b", "y", kMode);
        CHECK(fake.requests().size() == 2);
        CHECK_THROWS_MATCHES(
            write_text(*store, "a", "z", kMode), Error, HasCode(ErrorCode::file_exists));
        CHECK(fake.objects.at("root/a").body == "x");
    }
    SECTION("and where there are none it is written")
    {
        fake.conditions = FakeConditions::refused;
        const auto store = fake.open();
        write_text(*store, "a", "x", kMode);
        CHECK(fake.requests().size() == 2);
        write_text(*store, "a", "x", kMode);
        CHECK(fake.requests().size() == 3);
        CHECK(fake.count("HEAD") == 0);
    }
}

TEST_CASE("an upload in parts looks before it ends, whatever the store does with single writes",
          "[s3][bug-42]")
{
    FakeS3 fake;
    fake.conditions = FakeConditions::ignored;
    fake.objects["root/a"] = {"old", ""};
    S3Options options = fake.options();
    options.part_size = 4;
    const auto client = std::make_shared<S3Client>(options, real_surroundings());
    client->conditions = S3Client::Conditions::obeyed;
    const auto file = make_s3_upload(client, client->key_of("a"), WriteMode::once);
    file->write(as_bytes("123456"));

    CHECK_THROWS_MATCHES(file->commit(), Error, HasCode(ErrorCode::file_exists));

    CHECK(fake.objects["root/a"].body == "old");
}

TEST_CASE("removing many takes few requests, and one that fails is named", "[s3][bug-44]")
{
    FakeS3 fake;
    const auto store = fake.open();
    std::vector<std::string> paths;
    for (unsigned i = 0; i < 2001; ++i) {
        paths.push_back(fmt::format("d/{:04}", i));
        fake.objects["root/" + paths.back()] = {};
    }
    SECTION("all of them")
    {
        store->remove_all(paths);
        CHECK(fake.objects.empty());
        CHECK(fake.requests().size() == 3);
        store->remove_all({});
        CHECK(fake.requests().size() == 3);
    }
    SECTION("but one")
    {
        fake.after = [](const SeenRequest&, HttpReply& reply) {
            reply.body = "<DeleteResult><Error><Key>root/d/0001</Key><Code>AccessDenied</Code>"
                         "<Message>locked</Message></Error></DeleteResult>";
        };
        try {
            store->remove_all(paths);
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::access);
            CHECK_THAT(error.what(), Catch::Contains("root/d/0001") && Catch::Contains("locked"));
            CHECK_THAT(error.what(), Catch::Contains(", and 2 more could not be removed"));
            CHECK_THAT(error.hint(), Catch::Contains("s3:DeleteObject"));
        }
        CHECK(fake.requests().size() == 3);
        CHECK(fake.objects.empty());
    }
    SECTION("but those that the store is too busy for")
    {
        unsigned posts = 0;
        fake.after = [&](const SeenRequest& request, HttpReply& reply) {
            if (request.method == "POST" && ++posts == 1) {
                fake.objects["root/d/0001"] = {};
                fake.objects["root/other"] = {};
                reply.body = "<DeleteResult><Error><Key>root/d/0001</Key><Code>SlowDown</Code>"
                             "</Error><Error><Key>root/d/0002</Key><Code>NoSuchKey</Code></Error>"
                             "<Error><Key>root/other</Key><Code>InternalError</Code></Error>"
                             "</DeleteResult>";
            }
        };
        CHECK_THROWS_WITH(store->remove_all(paths), Catch::Contains("root/other"));
        CHECK(fake.count("DELETE") == 1);
        CHECK(fake.objects.size() == 1);
        CHECK(fake.objects.contains("root/other"));
    }
    SECTION("of a store that cannot")
    {
        paths.resize(5);
        fake.before = [](const SeenRequest& request) {
            return request.method == "POST" ? std::optional(error_reply(501, "NotImplemented"))
                                            : std::nullopt;
        };
        store->remove_all(paths);
        CHECK(fake.objects.size() == 1996);
        CHECK(fake.count("DELETE") == 5);
    }
    SECTION("of a store that cannot and refuses some")
    {
        paths.resize(5);
        fake.before = [](const SeenRequest& request) -> std::optional<HttpReply> {
            if (request.method == "POST") {
                return error_reply(405, "MethodNotAllowed");
            }
            return request.path.ends_with("0001") || request.path.ends_with("0003")
                       ? std::optional(error_reply(403, "AccessDenied"))
                       : std::nullopt;
        };
        CHECK_THROWS_WITH(store->remove_all(paths),
                          Catch::Contains("root/d/0001'") && Catch::Contains(", and 1 more"));
        CHECK(fake.objects.size() == 1998);
    }
    SECTION("with a path that leaves the root")
    {
        paths = {"a", "../b"};
        CHECK_THROWS_MATCHES(
            store->remove_all(paths), Error, HasCode(ErrorCode::parameter_invalid));
    }
}

TEST_CASE("what somebody else has removed is removed", "[s3]")
{
    FakeS3 fake;
    fake.objects["root/a"] = {"x", ""};
    bool is_lost = true;
    fake.before = [&](const SeenRequest& request) -> std::optional<HttpReply> {
        if (request.method != "DELETE") {
            return std::nullopt;
        }
        if (std::exchange(is_lost, false)) {
            fake.objects.erase("root/a");
            return HttpReply{.reset_after = 0};
        }
        return error_reply(404, "NoSuchKey");
    };
    const auto store = fake.open();

    CHECK(store->remove("a"));

    CHECK(fake.count("DELETE") == 2);
    fake.objects["root/a"] = {"x", ""};
    fake.before = [](const SeenRequest& request) {
        return request.method == "DELETE"
                   ? std::optional(HttpReply{.status = 404, .body = "<html>not here</html>"})
                   : std::nullopt;
    };
    CHECK_THROWS_MATCHES(store->remove("a"), Error, HasCode(ErrorCode::service));
}

TEST_CASE("a host that forbids MD5 does without where it can", "[s3]")
{
    FakeS3 fake;
    const auto store = make_s3_storage(
        fake.options(),
        {.variable = {}, .now = [] { return now_seconds(); }, .has_md5 = [] { return false; }});
    SECTION("many are removed one by one")
    {
        fake.objects = {{"root/a", {}}, {"root/b", {}}, {"root/c", {}}};

        store->remove_all(std::vector<std::string>{"a", "b"});

        CHECK(fake.objects.size() == 1);
        CHECK(fake.count("POST") == 0);
        CHECK(fake.count("DELETE") == 2);
    }
    SECTION("a bucket that insists on it cannot be written to")
    {
        fake.before = [](const SeenRequest&) {
            return error_reply(400, "InvalidRequest", "Content-MD5 is required");
        };
        CHECK_THROWS_MATCHES(
            write_text(*store, "a", "x", WriteMode::replace), Error, HasCode(ErrorCode::crypto));
    }
}

TEST_CASE("a listing of some names asks for no others", "[s3]")
{
    FakeS3 fake;
    fake.objects["root/d/ab-1"] = {"x", ""};
    fake.objects["root/d/b"] = {"x", ""};
    const auto store = fake.open(fake.options());
    store->list_some("d", "ab", [](const EntryInfo& entry) { CHECK(entry.name == "ab-1"); });
    REQUIRE(fake.requests().size() == 1);
    CHECK_THAT(fake.requests()[0].query, Catch::Contains("prefix=root%2Fd%2Fab"));
}

TEST_CASE("one who reads from front to back needs few requests", "[s3]")
{
    FakeS3 fake;
    const std::string text = counting(5U << 20U);
    fake.objects["root/a"] = {text, ""};
    S3Options options = fake.options();
    options.prefetch = 2;
    const auto store = fake.open(options);
    const auto source = store->open("a");

    SECTION("in small steps with small gaps")
    {
        for (std::size_t at = 0; at + 1000 <= text.size(); at += 1000 + 500) {
            REQUIRE(read_at(*source, at, 1000) == text.substr(at, 1000));
        }
        CHECK(fake.requests().size() <= 5); // 64K, 1M, 2M, 2M
    }
    SECTION("in steps that are longer than what is read ahead")
    {
        CHECK(read_at(*source, 0, 4U << 20U) == text.substr(0, 4U << 20U));
        CHECK(fake.requests().size() == 2);
    }
    SECTION("where it was said what will be read, and nothing behind it")
    {
        source->expect(1'000'000, 3'000'000);
        for (std::size_t at = 1'000'000; at < 4'000'000; at += 100'000) {
            REQUIRE(read_at(*source, at, 100'000) == text.substr(at, 100'000));
        }
        std::set<std::string> ranges; // of requests that are under way at once
        for (const SeenRequest& request : fake.requests()) {
            ranges.insert(request.header("range"));
        }
        CHECK(ranges == std::set<std::string>{
                            "bytes=0-65535", "bytes=1000000-3097151", "bytes=3097152-3999999"});
        CHECK(fake.requests().size() == ranges.size());
    }
    SECTION("before it is read, where that was said")
    {
        source->expect(1'000'000, 1000);
        wait_until("the request", [&] { return fake.requests().size() == 2; });
        CHECK(read_at(*source, 1'000'000, 1000) == text.substr(1'000'000, 1000));
        CHECK(fake.requests().size() == 2);
    }
    SECTION("elsewhere than it was said")
    {
        source->expect(1'000'000, 1000);
        wait_until("the request", [&] { return fake.requests().size() == 2; });
        CHECK(read_at(*source, 2'000'000, 10) == text.substr(2'000'000, 10));
        CHECK(fake.requests().back().header("range").starts_with("bytes=2000000-"));
        CHECK(fake.requests().size() == 3);
    }
    SECTION("over gaps that the source says it reads over")
    {
        CHECK(source->read_over() == options.read_over);
    }
    SECTION("when more was said than there is")
    {
        source->expect(5'000'000, ~std::uint64_t{0});
        CHECK(read_at(*source, 5'000'000, 10) == text.substr(5'000'000, 10));
        CHECK(fake.requests().back().header("range") ==
              fmt::format("bytes=5000000-{}", text.size() - 1));
    }
    SECTION("at places of no order, whose neighbours are read later")
    {
        for (const std::size_t at : {4'000'000U, 2'000'000U, 4'900'000U, 2'100'000U}) {
            CHECK(read_at(*source, at, 10) == text.substr(at, 10));
        }
        CHECK(fake.requests().size() == 3);
    }
    SECTION("when nothing is to be read ahead")
    {
        options.prefetch = 0;
        const auto plain = fake.open(options)->open("a");
        CHECK(read_at(*plain, 65'530, 10) == text.substr(65'530, 10));
        CHECK(fake.requests().back().header("range") == "bytes=65536-65539");
    }
}

TEST_CASE("a part of an object that is not the one asked for is refused", "[s3]")
{
    FakeS3 fake;
    fake.objects["root/a"] = {counting(200'000), ""};
    const auto source = fake.open()->open("a");
    const auto damage = GENERATE(
        as<std::function<void(HttpReply&)>>{},
        [](HttpReply& reply) { reply.body.pop_back(); },
        [](HttpReply& reply) { reply.body += "x"; },
        [](HttpReply& reply) { reply.headers.clear(); },
        [](HttpReply& reply) { reply.status = 200; },
        [](HttpReply& reply) { reply.headers.back().second = "bytes 1-10/200000"; },
        [](HttpReply& reply) { reply.headers.back().second = "bytes 100000-100009/200001"; });
    fake.after = [&](const SeenRequest&, HttpReply& reply) { damage(reply); };

    CHECK_THROWS_AS(read_at(*source, 100'000, 10), Error);
    fake.after = nullptr;
    CHECK(read_at(*source, 100'000, 8) == "00012500");
}

TEST_CASE("a small file of a store without ranges can be read", "[s3]")
{
    FakeS3 fake;
    fake.before = [](const SeenRequest&) { return HttpReply{.body = "whole"}; };

    CHECK(read_text(*fake.open(), "a") == "whole");
}

TEST_CASE("what is not below a bucket is not missing but wrong", "[s3][bug-48]")
{
    FakeS3 fake;
    const auto reply = GENERATE(HttpReply{.status = 404, .body = "<html>not here</html>"},
                                error_reply(404, "NoSuchBucket"));
    fake.before = [&](const SeenRequest&) { return reply; };
    const auto store = fake.open();
    const auto code =
        reply.body.starts_with("<html>") ? ErrorCode::service : ErrorCode::path_missing;

    CHECK_THROWS_MATCHES(store->info("a"), Error, HasCode(code));
    CHECK_THROWS_MATCHES(store->open("a"), Error, HasCode(code));
    CHECK_THROWS_MATCHES(store->remove("a"), Error, HasCode(code));
}

TEST_CASE("a customer key that is none is refused", "[s3]")
{
    FakeS3 fake;
    S3Options options = fake.options();
    options.sse_customer_key = codec::SecretText(GENERATE("canary?", "canary="));
    try {
        fake.open(options)->open("a");
        FAIL("taken");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::option_invalid_value);
        CHECK_THAT(error.what(), !Catch::Contains("canary"));
    }
}
