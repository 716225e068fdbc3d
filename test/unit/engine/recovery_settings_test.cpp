// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/engine/recovery_settings.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::repository::RecoveryType;
using pgstrata::test::HasCode;

namespace {

constexpr auto kCommand = "pgstrata --stanza=demo archive-get %f \"%p\"";
constexpr auto kDate = "2026-11-21 02:00:00+00";

RecoverySettings settings_of(RecoveryType type)
{
    RecoverySettings settings;
    settings.type = type;
    settings.restore_command = kCommand;
    return settings;
}

// "name=value" of all parameters but restore_command, which must be first where there is recovery.
std::string parameters_of(const RecoverySettings& settings)
{
    std::string text;
    for (const auto& [name, value] : recovery_parameters(settings)) {
        if (name == "restore_command") {
            CHECK(text.empty());
            CHECK(value == kCommand);
            text = "R";
        } else {
            text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
        }
    }
    return text;
}

std::string render(const RecoverySettings& settings, std::string_view existing = {})
{
    return render_auto_conf(existing, settings, kDate);
}

// The value of the last line that sets `name`, unquoted as the server reads it.
std::string value_in(const std::string& conf, const std::string& name)
{
    const auto line = conf.rfind("\n" + name + " = '");
    if (line == std::string::npos) {
        return "(none)";
    }
    std::string value;
    for (std::size_t at = line + name.size() + 5; at < conf.size(); ++at) {
        const char symbol = conf[at];
        if (symbol == '\'' && conf.at(at + 1) != '\'') {
            return conf.at(at + 1) == '\n' ? value : "(more after the quote)";
        }
        if (symbol == '\n') {
            return "(open quote)";
        }
        at += symbol == '\'' || symbol == '\\' ? 1 : 0;
        value += symbol == '\\' && conf[at] == 'n' ? '\n' : conf[at];
    }
    return "(open quote)";
}

} // namespace

TEST_CASE("each type has its signal file", "[recovery_settings][bug-39]")
{
    struct Row {
        RecoveryType type;
        std::string_view file;
    };
    const auto row = GENERATE(values<Row>({
        {RecoveryType::standard, "recovery.signal"},
        {RecoveryType::immediate, "recovery.signal"},
        {RecoveryType::lsn, "recovery.signal"},
        {RecoveryType::name, "recovery.signal"},
        {RecoveryType::time, "recovery.signal"},
        {RecoveryType::xid, "recovery.signal"},
        {RecoveryType::standby, "standby.signal"},
        {RecoveryType::preserve, ""},
        {RecoveryType::none, ""},
    }));
    CHECK(signal_file(row.type) == row.file);
}

// The table of types, against every way to stop, action and timeline.
TEST_CASE("each type gets its own settings and no others", "[recovery_settings][bug-39]")
{
    struct Row {
        RecoveryType type;
        std::string target;
        std::string expected; // the target itself
        bool has_action;
        bool has_exclusive;
    };
    const auto row = GENERATE(values<Row>({
        {RecoveryType::standard, "", "", false, false},
        {RecoveryType::immediate, "", " recovery_target=immediate", true, false},
        {RecoveryType::lsn, "0/3000028", " recovery_target_lsn=0/3000028", true, true},
        {RecoveryType::name, "before it", " recovery_target_name=before it", true, true},
        {RecoveryType::time,
         "2026-11-21 02:00:00+00",
         " recovery_target_time=2026-11-21 02:00:00+00",
         true,
         true},
        {RecoveryType::xid, "742", " recovery_target_xid=742", true, true},
        {RecoveryType::standby, "", "", false, false},
    }));
    const std::string action = GENERATE("", "pause", "promote", "shutdown");
    const std::string timeline = GENERATE("", "current", "latest", "3");
    const bool is_exclusive = GENERATE(false, true);

    RecoverySettings settings = settings_of(row.type);
    settings.target = row.target;
    settings.target_action = action;
    settings.target_timeline = timeline;
    settings.is_exclusive = is_exclusive;
    CAPTURE(static_cast<int>(row.type), action, timeline, is_exclusive);

    std::string expected = "R" + row.expected;
    if (is_exclusive && row.has_exclusive) {
        expected += " recovery_target_inclusive=false";
    }
    if (row.has_action && (action == "promote" || action == "shutdown")) {
        expected += " recovery_target_action=" + action;
    }
    if (!timeline.empty()) {
        expected += " recovery_target_timeline=" + timeline;
    }
    CHECK(parameters_of(settings) == expected);
}

TEST_CASE("types without recovery get no recovery settings", "[recovery_settings][bug-39]")
{
    const auto type = GENERATE(RecoveryType::none, RecoveryType::preserve);
    RecoverySettings settings = settings_of(type);
    settings.target = "742";
    settings.target_action = "promote";
    settings.target_timeline = "3";
    settings.is_exclusive = true;
    CHECK(recovery_parameters(settings).empty());
    CHECK(render(settings, "port = 5433\n") == "port = 5433\n");
    settings.is_archive_off = true;
    CHECK(parameters_of(settings) == "archive_mode=off");
}

TEST_CASE("archiving is switched off for every type that asks for it",
          "[recovery_settings][bug-39]")
{
    const auto type = GENERATE(
        RecoveryType::standard, RecoveryType::time, RecoveryType::standby, RecoveryType::none);
    RecoverySettings settings = settings_of(type);
    settings.options = {{"archive_mode", "always"}};
    settings.is_archive_off = true;
    CHECK(value_in(render(settings), "archive_mode") == "off");
}

TEST_CASE("further options are added, and the last of a name wins", "[recovery_settings][bug-39]")
{
    RecoverySettings settings = settings_of(RecoveryType::standby);
    settings.options = {{"primary-conninfo", "host=one"},
                        {"primary_slot_name", "slot"},
                        {"primary_conninfo", "host=two"},
                        {"restore-command", "cp /wal/%f %p"},
                        {"recovery_target_timeline", "7"}};
    settings.target_timeline = "current";
    const std::vector<std::pair<std::string, std::string>> expected = {
        {"restore_command", "cp /wal/%f %p"},
        {"recovery_target_timeline", "7"},
        {"primary_conninfo", "host=two"},
        {"primary_slot_name", "slot"}};
    CHECK(recovery_parameters(settings) == expected);
}

TEST_CASE("the old way to ask for a standby is refused", "[recovery_settings][bug-39]")
{
    RecoverySettings settings = settings_of(RecoveryType::standard);
    settings.options = {{GENERATE("standby_mode", "standby-mode"), "on"}};
    CHECK_THROWS_MATCHES(recovery_parameters(settings), Error, HasCode(ErrorCode::option_invalid));
    CHECK_THROWS_MATCHES(render(settings), Error, HasCode(ErrorCode::option_invalid));
}

TEST_CASE("the file says where its settings come from", "[recovery_settings]")
{
    RecoverySettings settings = settings_of(RecoveryType::immediate);
    settings.target_timeline = "current";
    const std::string generated =
        "# Recovery settings generated by pgstrata restore on 2026-11-21 02:00:00+00\n"
        "restore_command = 'pgstrata --stanza=demo archive-get %f \"%p\"'\n"
        "recovery_target = 'immediate'\n"
        "recovery_target_timeline = 'current'\n";
    CHECK(render(settings) == generated);
    CHECK(render(settings, "# Do not edit\nwork_mem = '8MB'\n") ==
          "# Do not edit\nwork_mem = '8MB'\n\n" + generated);
    // A last line without an end would swallow what comes after it.
    CHECK(render(settings, "work_mem = '8MB'") == "work_mem = '8MB'\n\n" + generated);
}

TEST_CASE("old recovery targets become comments, whatever the type", "[recovery_settings][bug-39]")
{
    struct Row {
        std::string line;
        bool is_removed;
    };
    const auto row = GENERATE(values<Row>({
        {"recovery_target = 'immediate'", true},
        {"recovery_target_time = '2020-01-01'", true},
        {"recovery_target_xid='5'", true},
        {"recovery_target_name 'x'", true},
        {"recovery_target_inclusive = off", true},
        {"recovery_target_action = 'shutdown'", true},
        {"recovery_target_timeline = '4'", true},
        {"  \trecovery_target_lsn = '0/1'", true},
        {"Recovery_Target_LSN = '0/1'", true}, // the server does not mind the case
        {"# recovery_target_lsn = '0/1'", false},
        {"recovery_min_apply_delay = 5", false},
        {"restore_command = 'cp'", false},
        {"recovery_end_command = 'recovery_target'", false},
        {"", false},
    }));
    const auto type = GENERATE(RecoveryType::none, RecoveryType::standard, RecoveryType::standby);
    CAPTURE(row.line, static_cast<int>(type));
    const std::string before = "port = 1\n" + row.line + "\nport = 2\n";
    const std::string note =
        row.is_removed ? "# Removed by pgstrata restore on 2026-11-21 02:00:00+00 # " : "";
    const std::string after = render(settings_of(type), before);
    CHECK_THAT(after, Catch::StartsWith("port = 1\n" + note + row.line + "\nport = 2\n"));
}

TEST_CASE("rendering a file twice removes what the first time wrote", "[recovery_settings][bug-39]")
{
    RecoverySettings first = settings_of(RecoveryType::xid);
    first.target = "742";
    first.target_timeline = "2";
    RecoverySettings second = settings_of(RecoveryType::name);
    second.target = "there";
    const std::string text = "\n" + render(second, render(first));
    CHECK(value_in(text, "recovery_target_name") == "there");
    CHECK(value_in(text, "recovery_target_xid") == "(none)");
    CHECK(value_in(text, "recovery_target_timeline") == "(none)");
}

TEST_CASE("values reach the server as they are", "[recovery_settings][bug-39]")
{
    const std::string value = GENERATE(as<std::string>{},
                                       "plain",
                                       "",
                                       "it's",
                                       "'",
                                       "''",
                                       "\\",
                                       "ends with \\",
                                       "\\' ",
                                       "C:\\new\\table",
                                       "# no comment",
                                       "two\nport = 1");
    CAPTURE(value);
    RecoverySettings settings = settings_of(RecoveryType::name);
    settings.target = value;
    settings.options = {{"recovery_end_command", value}};
    const std::string text = render(settings);
    CHECK(value_in(text, "recovery_target_name") == value);
    CHECK(value_in(text, "recovery_end_command") == value);
}

TEST_CASE("quotes and backslashes are doubled", "[recovery_settings]")
{
    RecoverySettings settings = settings_of(RecoveryType::name);
    settings.target = R"(it's a \ here)";
    CHECK_THAT(render(settings), Catch::Contains(R"(recovery_target_name = 'it''s a \\ here')"));
}
