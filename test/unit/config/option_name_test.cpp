// SPDX-License-Identifier: PostgreSQL
#include "config/option_name.hpp"
#include "config/option_text.hpp"

#include <catch2/catch.hpp>

namespace pgstrata::test {

using config::match_name;
using config::NameFault;

TEST_CASE("every option is found by the name it is shown with", "[config]")
{
    for (const config::OptionRow& row : config::option_table()) {
        const bool has_index = row.group != config::Group::none;
        for (const unsigned index : {1U, 8U, 256U}) {
            const config::OptionName match = match_name(display_name(row, has_index ? index : 0));
            CHECK(match.fault == NameFault::none);
            CHECK(match.row == &row);
            CHECK(match.index == (has_index ? index : 0));
        }
    }
}

TEST_CASE("every old name is found", "[config]")
{
    int count = 0;
    for (const config::OptionRow& row : config::option_table()) {
        std::string_view names = row.deprecated;
        while (!names.empty()) {
            std::string name(config::next_part(names, ','));
            const auto mark = name.find('?');
            const unsigned index = mark == std::string::npos ? 1 : 12;
            if (mark != std::string::npos) {
                name.replace(mark, 1, "12");
            }
            const config::OptionName match = match_name(name);
            CHECK(match.fault == NameFault::none);
            CHECK(match.row == &row);
            CHECK(match.index == (row.group == config::Group::none ? 0 : index));
            ++count;
        }
    }
    CHECK(count == 51);
}

TEST_CASE("names that are none", "[config]")
{
    for (const char* name : {"",
                             "-",
                             "1",
                             "12-path",
                             "repo",
                             "path",
                             "repo1",
                             "repo1-",
                             "REPO1-PATH",
                             "repo1path",
                             "repo-1-path",
                             "repo1-path ",
                             "db0-path"}) {
        INFO(name);
        const NameFault fault = match_name(name).fault;
        CHECK((fault != NameFault::none || std::string_view(name) == "repo"));
    }
    CHECK(match_name("repo1").fault == NameFault::index_forbidden);
    CHECK(match_name(std::string(10000, '9')).fault == NameFault::unknown);
}

TEST_CASE("the nearest name keeps its index, distant ones are not offered", "[config]")
{
    CHECK(config::nearest_name("repo2-retention-ful") == "repo2-retention-full");
    CHECK(config::nearest_name("repo-retention-ful") == "repo1-retention-full");
    CHECK(config::nearest_name("stanzaa") == "stanza");
    CHECK(config::nearest_name("completely-different").empty());
    CHECK(config::nearest_word("flul", "full|diff|incr") == "full");
    CHECK(config::nearest_word("zzzz", "full|diff|incr").empty());
}

TEST_CASE("texts by command and by key", "[config]")
{
    using namespace config;
    CHECK(text_for_command("n {restore:y}", "restore") == "y");
    CHECK(text_for_command("n {restore:y}", "backup") == "n");
    CHECK(text_for_command("{backup:a=b; info:c}", "info") == "c");
    CHECK(text_for_command("{backup:a=b; info:c}", "check").empty());
    CHECK(text_for_command("plain", "check") == "plain");
    CHECK(text_for_key("gz=>[-1..9]; zst=>[-7..22]", "zst") == "[-7..22]");
    CHECK(text_for_key("gz=>[-1..9]; zst=>[-7..22]", "none").empty());
    const Dependency dependency = parse_dependency("repo-type=s3|gcs,else=n");
    CHECK(dependency.option == "repo-type");
    CHECK(dependency.values == "s3|gcs");
    CHECK(dependency.otherwise == "n");
    CHECK(parse_dependency("pg-path").values.empty());
}

} // namespace pgstrata::test
