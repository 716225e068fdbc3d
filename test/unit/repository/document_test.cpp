// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/document.hpp"

#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

nlohmann::json sample()
{
    return {{"text", "a \"quoted\" text, \xc3\xa4\xc3\xb6"},
            {"number", 18446744073709551615U},
            {"list", {1, -2, "three"}},
            {"inner", {{"flag", true}, {"nothing", nullptr}}}};
}

} // namespace

TEST_CASE("a sealed document opens to what it was", "[repository][document]")
{
    const std::string text = seal_document(sample());
    CHECK(text.back() == '\n');
    CHECK(open_document(text, "x.json") == sample());
    CHECK(seal_document(sample()) == text);
}

TEST_CASE("any changed bit of a document is noticed", "[repository][document][bug-47][bug-58]")
{
    std::string text = seal_document(sample());
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            const char old = text[at];
            text[at] = static_cast<char>(static_cast<unsigned char>(old) ^ (1U << bit));
            CAPTURE(at, bit);
            CHECK_THROWS_MATCHES(
                open_document(text, "x.json"), Error, HasCode(ErrorCode::checksum));
            text[at] = old;
        }
    }
}

TEST_CASE("no changed byte of a document changes what it says", "[repository][document][bug-47]")
{
    std::string text = seal_document(sample());
    std::size_t accepted = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (unsigned value = 0; value < 256; ++value) {
            const char old = text[at];
            text[at] = static_cast<char>(value);
            try {
                accepted += open_document(text, "x.json") == sample() ? 1U : 1000000U;
            } catch (const Error& error) {
                accepted += error.code() == ErrorCode::checksum ? 0U : 1000000U;
            }
            text[at] = old;
        }
    }
    // Itself once a byte, and one kind of white space for another.
    CHECK(accepted >= text.size());
    CHECK(accepted < 2 * text.size());
}

TEST_CASE("a document cut short is noticed", "[repository][document][bug-17]")
{
    const std::string text = seal_document(sample());
    for (std::size_t size = 0; size < text.size(); ++size) {
        CAPTURE(size);
        CHECK_THROWS_MATCHES(
            open_document(text.substr(0, size), "x.json"), Error, HasCode(ErrorCode::checksum));
    }
}

TEST_CASE("what is no sealed document is refused by name", "[repository][document]")
{
    const std::string text = GENERATE("",
                                      "null",
                                      "[]",
                                      "\"text\"",
                                      "{}",
                                      R"({"checksum": 1})",
                                      R"({"checksum": ""})",
                                      "{\"a\":1,}");
    CAPTURE(text);
    CHECK_THROWS_MATCHES(open_document(text, "x.json"), Error, HasCode(ErrorCode::checksum));
    CHECK_THROWS_WITH(open_document(text, "backup/x.json"), Catch::Contains("'backup/x.json'"));
}

TEST_CASE("a document that is nested without end is refused", "[repository][document][bug-54]")
{
    const std::string opener = GENERATE("[", "{\"a\":");
    std::string text = "{\"a\":";
    for (int i = 0; i < 500000; ++i) {
        text += opener;
    }
    SECTION("unfinished") {}
    SECTION("finished")
    {
        text += "1";
        for (int i = 0; i < 500000; ++i) {
            text += opener == "[" ? "]" : "}";
        }
        text += ",\"checksum\":\"00\"}\n";
    }
    CHECK_THROWS_MATCHES(open_document(text, "x.json"), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("text that is not UTF-8 is kept readable and sealed", "[repository][document][bug-6]")
{
    const std::string text = seal_document({{"name",
                                             "a\xff"
                                             "b"}});
    CHECK(open_document(text, "x.json")["name"] == "a\xef\xbf\xbd"
                                                   "b");
}

TEST_CASE("members of another type are a format error", "[repository][document]")
{
    const nlohmann::json document = {
        {"text", "x"}, {"number", 1U}, {"negative", -1}, {"real", 1.5}};
    CHECK(document_text(document, "text", "x.json") == "x");
    CHECK(document_number(document, "number", "x.json") == 1);
    for (const char* member : {"number", "missing"}) {
        CHECK_THROWS_MATCHES(
            document_text(document, member, "x.json"), Error, HasCode(ErrorCode::format));
    }
    for (const char* member : {"text", "negative", "real", "missing"}) {
        CHECK_THROWS_MATCHES(
            document_number(document, member, "x.json"), Error, HasCode(ErrorCode::format));
    }
}
