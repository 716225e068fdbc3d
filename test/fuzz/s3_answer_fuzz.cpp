// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"
#include "storage/aws_credentials.hpp"
#include "storage/aws_text.hpp"
#include "storage/s3_xml.hpp"

#include <string>

using namespace pgstrata;
using namespace pgstrata::storage;

namespace {

void read_as_body(ByteView body)
{
    const auto is_one_line = [](const std::string& text) {
        return text.find('\n') == std::string::npos;
    };
    test::survives([&] {
        const StoreError error = parse_error(body);
        test::require(is_one_line(error.message));
    });
    test::survives([&] {
        for (const EntryInfo& entry : parse_list_page(body, "repo/").entries) {
            test::require(!entry.name.empty() && entry.name.find('/') == std::string::npos);
        }
    });
    test::survives([&] { parse_upload_id(body); });
    test::survives([&] { check_completion(body); });
    test::survives([&] { parse_deletion(body); });
    test::survives([&] { parse_credentials_json(as_text(body), "the service"); });
    test::survives([&] {
        std::string copy(as_text(body));
        parse_credentials_xml(std::as_writable_bytes(std::span(copy.data(), copy.size())));
    });
}

void read_as_header(std::string_view text)
{
    parse_iso_time(text);
    parse_http_time(text);
    parse_number(text);
    parse_content_range(text);
    parse_retry_after(text, 1700000000);
    const auto decoded = url_decode(text);
    test::require(!decoded || decoded->size() <= text.size());
    const std::string quoted = quotable(text);
    test::require(quoted.size() <= 300 && quoted.find('\n') == std::string::npos);
    is_allowed_container_address(text);
}

} // namespace

// The input is the body of an answer, and the value of a header.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const ByteView bytes = test::input_bytes(data, size);
    read_as_body(bytes);
    read_as_header(as_text(bytes));
    return 0;
}
