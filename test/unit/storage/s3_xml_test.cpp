// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_xml.hpp"
#include "support/matchers.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::storage;
using namespace pgstrata::test;

namespace {

const std::string kPage =
    R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>root/</Prefix>
<KeyCount>3</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
<NextContinuationToken>a&amp;b=</NextContinuationToken>
<Contents><Key>root/one</Key><LastModified>2026-11-21T08:17:14.000Z</LastModified><ETag>"x"</ETag>
<Size>5</Size></Contents>
<Contents><Key>root/t+w%2Bo%0A</Key><LastModified>2026-11-21T08:17:14.000Z</LastModified><Size>0</Size>
</Contents><CommonPrefixes><Prefix>root/sub/</Prefix></CommonPrefixes></ListBucketResult>)";

std::string replaced(std::string text, const std::string& from, const std::string& to)
{
    return text.replace(text.find(from), from.size(), to);
}

const HasCode kRefused(ErrorCode::protocol);

} // namespace

TEST_CASE("a page of a listing is read", "[s3][xml]")
{
    const ListPage page = parse_list_page(as_bytes(kPage), "root/");

    REQUIRE(page.entries.size() == 3);
    CHECK(page.entries[0].name == "one");
    CHECK(page.entries[0].size == 5);
    CHECK(page.entries[0].mtime == 1795249034);
    CHECK(page.entries[1].name == "t w+o\n");
    CHECK(page.entries[2].name == "sub");
    CHECK(page.entries[2].type == EntryType::directory);
    CHECK(page.next_token == "a&b=");
}

TEST_CASE("names that are not encoded are taken as they are", "[s3][xml]")
{
    const std::string plain = replaced(kPage, "<EncodingType>url</EncodingType>", "");

    CHECK(parse_list_page(as_bytes(plain), "root/").entries[1].name == "t+w%2Bo%0A");
}

TEST_CASE("what no path can name is left out of a listing", "[s3][xml][bug-52]")
{
    const std::string key =
        GENERATE("root/", "root/a//b", "root/a/b", "other/one", "root/..", "root/.", "");
    CAPTURE(key);
    const std::string text = replaced(kPage, "<Key>root/one</Key>", "<Key>" + key + "</Key>");

    const ListPage page = parse_list_page(as_bytes(text), "root/");

    REQUIRE(page.entries.size() == 2);
    CHECK(page.entries[0].name == "t w+o\n");
}

TEST_CASE("a listing cut anywhere is refused", "[s3][xml][bug-33]")
{
    for (std::size_t size = 0; size < kPage.size(); ++size) {
        CAPTURE(size);
        CHECK_THROWS_MATCHES(
            parse_list_page(as_bytes(kPage.substr(0, size)), "root/"), Error, kRefused);
    }
}

TEST_CASE("a listing that is not what it should be is refused", "[s3][xml][bug-33]")
{
    const auto& [from, to] = GENERATE(table<std::string, std::string>({
        {"<IsTruncated>true</IsTruncated>", ""},
        {"<IsTruncated>true</IsTruncated>", "<IsTruncated>maybe</IsTruncated>"},
        {"<NextContinuationToken>a&amp;b=</NextContinuationToken>", ""},
        {"<Size>5</Size>", ""},
        {"<Size>5</Size>", "<Size>-5</Size>"},
        {"2026-11-21T08:17:14.000Z", "yesterday"},
        {"root/t+w%2Bo%0A", "root/%zz"},
    }));
    CAPTURE(from, to);
    CHECK_THROWS_MATCHES(
        parse_list_page(as_bytes(replaced(kPage, from, to)), "root/"), Error, kRefused);
}

TEST_CASE("another document than the expected one is refused", "[s3][xml]")
{
    const std::string text = GENERATE(
        "", "<html/>", "<Error><Code>x</Code></Error>", "{}", "<InitiateMultipartUploadResult/>");
    CAPTURE(text);

    CHECK_THROWS_MATCHES(parse_list_page(as_bytes(text), ""), Error, kRefused);
    CHECK_THROWS_MATCHES(parse_upload_id(as_bytes(text)), Error, kRefused);
    CHECK_THROWS_MATCHES(check_completion(as_bytes(text)), Error, kRefused);
    CHECK_THROWS_MATCHES(parse_deletion(as_bytes(text)), Error, kRefused);
}

TEST_CASE("an error of the store is read in both of its forms", "[s3][xml]")
{
    const StoreError plain =
        parse_error(as_bytes("<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>The "
                             "key\nis gone</Message></Error>"));
    CHECK(plain.code == "NoSuchKey");
    CHECK(plain.message == "The key is gone");
    CHECK(
        parse_error(as_bytes("<ErrorResponse><Error><Code>Expired</Code></Error></ErrorResponse>"))
            .code == "Expired");
    CHECK(parse_error(as_bytes("<html>no</html>")).code.empty());
    CHECK(parse_error({}).code.empty());
}

TEST_CASE("an upload is begun and ended with what the store says", "[s3][xml]")
{
    CHECK(parse_upload_id(as_bytes("<InitiateMultipartUploadResult><UploadId>a&amp;b</UploadId>"
                                   "</InitiateMultipartUploadResult>")) == "a&b");
    CHECK_NOTHROW(check_completion(as_bytes("\n  \n<CompleteMultipartUploadResult/>")));
    const std::vector<std::string> etags{"\"one\"", "\"two\""};
    CHECK(completion_body(etags) ==
          "<CompleteMultipartUpload>"
          "<Part><PartNumber>1</PartNumber><ETag>&quot;one&quot;</ETag></Part>"
          "<Part><PartNumber>2</PartNumber><ETag>&quot;two&quot;</ETag></Part>"
          "</CompleteMultipartUpload>");
}

TEST_CASE("keys to remove are written and failures read", "[s3][xml][bug-44]")
{
    const std::vector<std::string> keys{"a<b>&\"c\"", "\xc3\xa4"};
    CHECK(deletion_body(keys) == "<Delete><Quiet>true</Quiet>"
                                 "<Object><Key>a&lt;b&gt;&amp;&quot;c&quot;</Key></Object>"
                                 "<Object><Key>\xc3\xa4</Key></Object></Delete>");
    CHECK(parse_deletion(as_bytes("<DeleteResult xmlns=\"x\"></DeleteResult>")).empty());
    const auto failed = parse_deletion(
        as_bytes("<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key>"
                 "<Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"));
    REQUIRE(failed.size() == 1);
    CHECK(failed[0].first == "b");
    CHECK(failed[0].second.code == "AccessDenied");

    CHECK(is_fit_for_xml("a b<\xc3\xa4"));
    CHECK_FALSE(is_fit_for_xml("a\nb"));
    CHECK_FALSE(is_fit_for_xml("\x01"));
}
