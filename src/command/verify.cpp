// SPDX-License-Identifier: PostgreSQL
#include "command/output.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/command/verify_report.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/util/size.hpp"
#include "pgstrata/util/time.hpp"

namespace pgstrata::command {

namespace {

constexpr std::uint64_t kProgressMilliseconds = 10000;

engine::VerifyOptions verify_options(const config::Config& config)
{
    engine::VerifyOptions options;
    options.stanza = config.text("stanza");
    options.label = config.text("set");
    if (config.has("sample") && !config.text("sample").empty()) {
        if (!options.label.empty()) {
            throw Error(ErrorCode::option_invalid,
                        "option 'sample' is not valid with option 'set'");
        }
        options.sample = parse_sample(config.text("sample"));
    }
    options.depth = *repository::parse_depth(config.text("depth"));
    options.workers = static_cast<std::size_t>(config.number("process-max"));
    return options;
}

void log_lines(std::string_view text)
{
    if (!text.empty()) {
        log::info("{}", text.substr(0, text.size() - 1));
    }
}

} // namespace

int run_verify(const config::Config& config)
{
    const engine::VerifyOptions options = verify_options(config);
    const OpenedRepository opened = open_repository(config, single_repository(config));
    std::uint64_t reported = monotonic_milliseconds();
    const auto progress = [&](std::uint64_t total, std::uint64_t done) {
        if (const std::uint64_t now = monotonic_milliseconds();
            now - reported >= kProgressMilliseconds) {
            reported = now;
            log::info("verified {} of {}", format_size(done), format_size(total));
        }
    };
    const engine::VerifyReport report = engine::verify(options, *opened.repository, progress);
    const std::string text =
        render_verify_text(report, config.flag("verbose") ? Verbosity::all : Verbosity::findings);
    log_lines(text);
    if (config.text("output") == "json") {
        print(render_verify_json(report));
    } else if (config.text("output") == "text") {
        print_printable(text);
    }
    if (const std::uint64_t findings = report.findings(); findings != 0) {
        throw Error(ErrorCode::command,
                    fmt::format("verify of stanza '{}' in repo{} found {} {}",
                                options.stanza,
                                opened.index,
                                findings,
                                findings == 1 ? "thing that is wrong" : "things that are wrong"),
                    "--output=text names objects, files and backups; take a backup now, which "
                    "stores anew what is damaged, and restore only from backups that are named as "
                    "restorable");
    }
    return 0;
}

} // namespace pgstrata::command
