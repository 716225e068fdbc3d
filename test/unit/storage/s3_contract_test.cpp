// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_storage.hpp"
#include "support/matchers.hpp"
#include "support/storage_contract.hpp"
#include "support/swift.hpp"

#include "pgstrata/util/process.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>

using namespace pgstrata;
using namespace pgstrata::storage;
using namespace pgstrata::test;

namespace {

constexpr std::size_t kMebibyte = 1U << 20U;

// A place of its own in the bucket.
S3Options options_for(const Swift& swift)
{
    return swift.options("/unit/" + random_tag());
}

S3Options options_with_tls(const Swift& swift)
{
    S3Options options = options_for(swift);
    options.endpoint = fmt::format("https://localhost:{}", swift.tls_port);
    options.uri_style = S3UriStyle::host;
    options.host = "127.0.0.1";
    options.http.ca_file = swift.certificate;
    return options;
}

Buffer pattern(std::size_t size)
{
    Buffer bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes.span()[i] = static_cast<std::byte>((i * 2654435761U) >> 13U);
    }
    return bytes;
}

bool is_equal(ByteView left, ByteView right)
{
    return std::equal(left.begin(), left.end(), right.begin(), right.end());
}

} // namespace

TEST_CASE("a bucket of a real server keeps the storage contract", "[s3][swift][bug-42][bug-52]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    check_storage_contract(
        [&] {
            return StorageUnderTest{nullptr, make_s3_storage(options_for(*swift))};
        },
        {.has_directories = false, .has_any_names = false});
}

TEST_CASE("over TLS and with the bucket in the host's name it is the same", "[s3][swift][tls]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    const auto store = make_s3_storage(options_with_tls(*swift));

    write_text(*store, "a/b c+\xc3\xa4", "hello");

    CHECK(read_text(*store, "a/b c+\xc3\xa4") == "hello");
    CHECK(names(*store, "a") == "b c+\xc3\xa4");
    CHECK(store->location().starts_with("s3://test/unit/"));

    S3Options suspicious = options_with_tls(*swift);
    suspicious.http.ca_file.clear();
    try {
        make_s3_storage(suspicious)->info("a");
        FAIL("trusted");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::host_connect);
        CHECK_THAT(error.hint(), Catch::Contains("repo-storage-ca-file"));
    }
}

TEST_CASE("large files are uploaded in parts and read back at any place", "[s3][swift]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    const auto mode = GENERATE(WriteMode::once, WriteMode::replace);
    const std::size_t size = GENERATE(5 * kMebibyte, 5 * kMebibyte + 1, 12 * kMebibyte);
    const auto store = make_s3_storage(options_for(*swift));
    const Buffer bytes = pattern(size);
    const auto file = store->create("big", mode);
    for (std::size_t at = 0; at < size; at += 777'777) {
        file->write(bytes.view().subspan(at, std::min<std::size_t>(777'777, size - at)));
    }
    CHECK_FALSE(store->info("big"));

    file->commit();

    CHECK(store->info("big")->size == size);
    const auto source = store->open("big");
    REQUIRE(source->size() == size);
    Buffer whole(size);
    CHECK(source->read_at(0, whole.span()) == size);
    CHECK(is_equal(whole, bytes));
    std::array<std::byte, 1000> some{};
    for (const std::size_t at : {std::size_t{65'000}, 5 * kMebibyte - 1000, std::size_t{1}}) {
        CHECK(source->read_at(at, some) == some.size());
        CHECK(is_equal(some, bytes.view().subspan(at, some.size())));
    }
    CHECK(source->read_at(size - 10, some) == 10);
    if (mode == WriteMode::once) {
        const auto again = store->create("big");
        again->write(bytes);
        CHECK_THROWS_MATCHES(again->commit(), Error, HasCode(ErrorCode::file_exists));
    }
}

TEST_CASE("an abandoned upload leaves nothing to be seen", "[s3][swift]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    const auto store = make_s3_storage(options_for(*swift));
    {
        const auto file = store->create("big");
        file->write(pattern(6 * kMebibyte));
    }
    CHECK_FALSE(store->info("big"));
    CHECK(names(*store, "").empty());
}

TEST_CASE("a file that is replaced or removed while it is read is an error", "[s3][swift][bug-4]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    const auto store = make_s3_storage(options_for(*swift));
    write_file(*store, "a", pattern(200'000));
    const auto source = store->open("a");
    std::array<std::byte, 10> some{};

    if (GENERATE(true, false)) {
        write_file(*store, "a", pattern(200'001), WriteMode::replace);
    } else {
        store->remove("a");
    }

    CHECK_THROWS_MATCHES(source->read_at(150'000, some), Error, HasCode(ErrorCode::file_read));
}

TEST_CASE("many files are removed at once", "[s3][swift]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    const auto store = make_s3_storage(options_for(*swift));
    const std::vector<std::string> paths{
        "d/a", "d/b<&>\"", "d/with\nline", "d/missing", "d/\xc3\xa4"};
    for (const std::string& path : paths) {
        write_text(*store, path, "x");
    }
    store->remove("d/missing");
    write_text(*store, "d/sub/x", "");

    store->remove_all(paths);

    CHECK(names(*store, "d") == "sub/");
}

TEST_CASE("what a real server refuses is told in its own words", "[s3][swift][bug-44]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    S3Options options = options_for(*swift);
    AwsSurroundings surroundings = real_surroundings();
    ErrorCode expected = ErrorCode::access;
    std::string words;
    std::string hint;
    SECTION("a wrong secret")
    {
        options.keys.secret_key = codec::SecretText("canary");
        words = "403 SignatureDoesNotMatch: ";
        hint = "repo-s3-key-secret";
    }
    SECTION("a wrong region")
    {
        options.region = "eu-central-1";
        expected = ErrorCode::service;
        words = "400 AuthorizationHeaderMalformed: ";
        hint = "'us-east-1', not 'eu-central-1'";
    }
    SECTION("a wrong clock")
    {
        surroundings.now = [] { return now_seconds() - 3600; };
        words = "403 RequestTimeTooSkewed: ";
        hint = "seconds behind";
    }
    SECTION("a bucket that is not there")
    {
        options.bucket = "nowhere";
        expected = ErrorCode::path_missing;
        words = "404 NoSuchBucket: ";
        hint = "repo-s3-bucket";
    }
    if (words.empty()) {
        return;
    }
    const auto store = make_s3_storage(options, surroundings);
    const auto check = [&](const auto& action) {
        try {
            action();
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.code() == expected);
            CHECK_THAT(error.what(), Catch::Contains(words));
            CHECK_THAT(error.what(), !Catch::Contains("canary"));
            CHECK_THAT(error.hint(), Catch::Contains(hint));
        }
    };
    check([&] { store->info("a"); });
    check([&] { store->list("a", [](const EntryInfo&) {}); });
    check([&] { store->open("a"); });
    check([&] { write_text(*store, "a", "x", WriteMode::replace); });
}
