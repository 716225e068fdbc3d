// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The small texts in answers of AWS, which are outside input; nullopt for what is malformed.
namespace pgstrata::storage {

// "2026-11-21T08:17:14.000Z"
std::optional<UnixSeconds> parse_iso_time(std::string_view text);
// "Sat, 21 Nov 2026 08:17:14 GMT"
std::optional<UnixSeconds> parse_http_time(std::string_view text);
// What encoding-type=url has done: %41 and + for a blank.
std::optional<std::string> url_decode(std::string_view text);
std::optional<std::uint64_t> parse_number(std::string_view text); // decimal digits only
// The size of the object in "bytes 0-9/1234" and "bytes */1234".
std::optional<std::uint64_t> parse_content_range(std::string_view text);
// Retry-After, in seconds or as a time, as milliseconds from `now` on.
std::optional<std::uint64_t> parse_retry_after(std::string_view text, UnixSeconds now);

// Foreign text for an error: one line of at most 300 bytes.
std::string quotable(std::string_view text);

} // namespace pgstrata::storage
