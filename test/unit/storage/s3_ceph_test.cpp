// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_storage.hpp"
#include "storage/s3_upload.hpp"
#include "support/ceph.hpp"
#include "support/matchers.hpp"
#include "support/storage_contract.hpp"

#include "pgstrata/util/process.hpp"

#include <catch2/catch.hpp>

// What Swift cannot show: writes with a condition, and a bucket that keeps versions.

using namespace pgstrata;
using namespace pgstrata::storage;
using namespace pgstrata::test;

namespace {

S3Options options_for(const Ceph& ceph)
{
    return ceph.options("/unit/" + random_tag());
}

// A bucket of its own in which nothing is ever lost.
S3Options versioned_bucket(const Ceph& ceph)
{
    S3Options options = options_for(ceph);
    options.bucket = "versioned-" + random_tag();
    S3Client client(options, real_surroundings());
    client.send({.action = "make the bucket", .method = "PUT"});
    const std::string on =
        "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<Status>Enabled</Status></VersioningConfiguration>";
    S3Request request{.action = "keep versions", .method = "PUT"};
    request.query = {{"versioning", ""}};
    request.body = as_bytes(on);
    client.send(request);
    return options;
}

} // namespace

TEST_CASE("a bucket of Ceph keeps the storage contract", "[s3][rgw][bug-42][bug-52]")
{
    const Ceph* ceph = Ceph::get();
    if (ceph == nullptr) {
        return;
    }
    check_storage_contract(
        [&] {
            return StorageUnderTest{nullptr, make_s3_storage(options_for(*ceph))};
        },
        {.has_directories = false, .has_any_names = false});
}

TEST_CASE("of two hosts that write one name once, the second is refused by Ceph", "[s3][rgw]")
{
    const Ceph* ceph = Ceph::get();
    if (ceph == nullptr) {
        return;
    }
    constexpr unsigned kPreconditionFailed = 412;
    const S3Options options = options_for(*ceph);
    const auto first = std::make_shared<S3Client>(options, real_surroundings());
    S3Request put{.action = "write", .method = "PUT", .key = first->key_of("a")};
    put.headers = {{"if-none-match", "*"}};
    put.body = as_bytes("one");
    put.accepted = {kPreconditionFailed};
    CHECK(first->send(put).status == 200);
    put.body = as_bytes("two");

    CHECK(first->send(put).status == kPreconditionFailed);

    CHECK(read_text(*make_s3_storage(options), "a") == "one");
    // As one that has looked before the other wrote, with a file of one and one of several parts.
    const std::size_t size = GENERATE(std::size_t{3}, std::size_t{6} << 20U);
    CAPTURE(size);
    first->conditions = S3Client::Conditions::obeyed;
    const auto second = make_s3_upload(first, first->key_of("a"), WriteMode::once);
    second->write(Buffer(size));
    CHECK_THROWS_MATCHES(second->commit(), Error, HasCode(ErrorCode::file_exists));
    CHECK(read_text(*make_s3_storage(options), "a") == "one");
}

TEST_CASE("what a bucket with versions has a delete marker of is not there", "[s3][rgw][bug-33]")
{
    const Ceph* ceph = Ceph::get();
    if (ceph == nullptr) {
        return;
    }
    const auto store = make_s3_storage(versioned_bucket(*ceph));
    for (const char* const text : {"one", "two", "three"}) {
        CAPTURE(text);
        CHECK_FALSE(store->info("d/a"));
        CHECK_FALSE(store->info("d"));
        CHECK(names(*store, "").empty());
        CHECK(names(*store, "d").empty());
        CHECK_FALSE(store->remove("d/a"));
        CHECK_THROWS_MATCHES(store->open("d/a"), Error, HasCode(ErrorCode::file_missing));

        write_text(*store, "d/a", text);

        CHECK(read_text(*store, "d/a") == text);
        CHECK(names(*store, "d") == "a");
        CHECK_THROWS_MATCHES(
            write_text(*store, "d/a", "other"), Error, HasCode(ErrorCode::file_exists));
        if (text == std::string("one")) {
            CHECK(store->remove("d/a"));
        } else {
            store->remove_all(std::vector<std::string>{"d/a"});
        }
    }
}
