// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/error_names.hpp"
#include "pgstrata/config/option_table.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <regex>
#include <set>
#include <string>

using namespace pgstrata;

namespace {

struct Status {
    std::string name;
    std::string meaning;
};

const std::string& page()
{
    static const std::string kText = read_text_file(PGSTRATA_MANUAL);
    return kText;
}

std::string between(const std::string& text, const std::string& begin, const std::string& end)
{
    const auto from = text.find(begin);
    REQUIRE(from != std::string::npos);
    const auto to = text.find(end, from);
    REQUIRE(to != std::string::npos);
    return text.substr(from, to - from);
}

std::vector<std::smatch> matches(const std::string& text, const std::string& expression)
{
    const std::regex compiled(expression);
    return {std::sregex_iterator(text.begin(), text.end(), compiled), std::sregex_iterator()};
}

// The rows of the table in the page by their code.
std::map<unsigned, Status> documented_codes()
{
    const auto table = between(page(), ".\\\" BEGIN STATUS\n", ".\\\" END STATUS\n");
    std::map<unsigned, Status> codes;
    for (const auto& row : matches(table, R"(\n(\d+);(\w+);(?:T\{\n)?([^\n]*))")) {
        const auto code = static_cast<unsigned>(std::stoul(row[1]));
        INFO("the row of " << code << " is the only one");
        CHECK(codes.try_emplace(code, Status{row[2], row[3]}).second);
    }
    return codes;
}

// The numbers of the enumerators, from the header itself.
std::set<unsigned> declared_codes()
{
    const auto enumeration =
        between(read_text_file(PGSTRATA_ERROR_HEADER), "enum class ErrorCode", "};");
    std::set<unsigned> codes;
    for (const auto& row : matches(enumeration, R"(\n    \w+ = (\d+),)")) {
        codes.insert(static_cast<unsigned>(std::stoul(row[1])));
    }
    return codes;
}

} // namespace

TEST_CASE("the manual page lists every exit status and no other", "[manual]")
{
    std::set<unsigned> documented;
    for (const auto& [code, status] : documented_codes()) {
        documented.insert(code);
    }
    const auto declared = declared_codes();

    CHECK(declared.count(static_cast<unsigned>(ErrorCode::assertion)) == 1);
    CHECK(declared.count(static_cast<unsigned>(ErrorCode::unhandled)) == 1);
    CHECK(documented == declared);
}

TEST_CASE("the manual page names each exit status as messages do", "[manual]")
{
    for (const auto& [code, status] : documented_codes()) {
        INFO(code);
        CHECK(status.name == command::error_name(static_cast<ErrorCode>(code)));
        CHECK_FALSE(status.meaning.empty());
    }
}

TEST_CASE("the manual page describes every command that is built and no other", "[manual]")
{
    const auto chapter = between(page(), "\n.SH COMMANDS\n", "\n.SH OPTIONS\n");
    std::set<std::string> documented;
    for (const auto& heading : matches(chapter, R"(\n\.SS ([a-z\\-]+))")) {
        documented.insert(std::regex_replace(heading.str(1), std::regex(R"(\\-)"), "-"));
    }

    std::set<std::string> built;
    for (const auto& command : config::command_table()) {
        if (command.is_built) {
            built.emplace(command.name);
        }
    }
    CHECK(documented == built);
}

TEST_CASE("the manual page names every command that is not there yet", "[manual]")
{
    const auto section = between(page(), "\n.SH \"WHAT IS NOT THERE YET\"\n", "\n.SH EXAMPLES\n");
    for (const auto& command : config::command_table()) {
        const auto name = std::regex_replace(std::string(command.name), std::regex("-"), R"(\-)");
        const bool is_listed = section.find("\n.B " + name + "\n") != std::string::npos ||
                               section.find("\n.BR " + name + " ") != std::string::npos;
        INFO(command.name);
        CHECK(is_listed == !command.is_built);
    }
}
