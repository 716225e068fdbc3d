// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/verify.hpp"

#include <optional>
#include <string>
#include <string_view>

// What verify shows: pure functions over the engine's report.
namespace pgstrata::command {

enum class Verbosity : std::uint8_t { findings, all };

// Lines for people, whose first words and order are those of pgBackRest, since monitors read them.
// Empty when there is nothing to say: no finding, and only findings asked for.
std::string render_verify_text(const engine::VerifyReport& report, Verbosity verbosity);
// Compact, keys sorted, with a line feed at the end.
std::string render_verify_json(const engine::VerifyReport& report);

// The pages of a lost file: "pages 3-5, 9", "page 7"; empty for all it has.
std::string describe_pages(const std::vector<engine::PageRange>& pages);
// "5%" or "0.5%": more than 0 and at most 100. Throws Error(option_invalid_value).
double parse_sample(std::string_view text);

} // namespace pgstrata::command
