// SPDX-License-Identifier: PostgreSQL
#include "command/archive_push.hpp"

#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_gap.hpp"
#include "pgstrata/util/process.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace pgstrata::command {

namespace {

constexpr std::string_view kGap = ".gap";
constexpr const char* kReason = "archive-push-queue-max was exceeded";

// A record as it waits in the spool for a repository that could not be reached.
struct WaitingGap {
    repository::WalGap gap;
    std::uint64_t system_identifier = 0; // 0 when unknown: it may be of any cluster
};

std::string to_text(const WaitingGap& waiting)
{
    return nlohmann::json{{"wal", waiting.gap.wal_name},
                          {"reason", waiting.gap.reason},
                          {"time", waiting.gap.time},
                          {"host", waiting.gap.host},
                          {"system-id", waiting.system_identifier}}
        .dump();
}

std::optional<WaitingGap> parse_gap(const std::string& text)
{
    const auto body = nlohmann::json::parse(text, nullptr, false);
    try {
        return WaitingGap{{body.at("wal"), body.at("reason"), body.at("time"), body.at("host")},
                          body.at("system-id")};
    } catch (const nlohmann::json::exception&) {
        return std::nullopt;
    }
}

std::vector<WaitingGap> make_gaps(const config::Config& config,
                                  const std::vector<std::string>& names)
{
    WaitingGap waiting;
    waiting.gap.reason = kReason;
    waiting.gap.time = now_seconds();
    waiting.gap.host = host_name();
    if (config.has("pg-path")) {
        waiting.system_identifier =
            postgres::read_control_file(config.text("pg-path")).control.system_identifier;
    }
    std::vector<WaitingGap> gaps;
    for (const std::string& name : names) {
        waiting.gap.wal_name = name;
        gaps.push_back(waiting);
    }
    return gaps;
}

// The repositories that did not take the record.
std::string
record(const config::Config& config, const WaitingGap& waiting, const PushTargets& opened)
{
    std::string failures = opened.failures;
    for (const engine::PushTarget& target : opened.targets) {
        if (waiting.system_identifier != 0 &&
            waiting.system_identifier != target.cluster.system_identifier) {
            continue;
        }
        failures += try_repositories({target.index}, [&](unsigned) {
            repository::write_gap(
                *target.repository, config.text("stanza"), target.cluster.id, waiting.gap);
        });
    }
    return failures;
}

} // namespace

void drop_wal(const config::Config& config,
              const engine::Spool* spool,
              const std::vector<std::string>& names)
{
    const std::vector<WaitingGap> gaps = make_gaps(config, names);
    if (spool != nullptr) {
        for (const WaitingGap& waiting : gaps) {
            spool->write_text(waiting.gap.wal_name + std::string(kGap), to_text(waiting));
        }
    }
    const PushTargets opened = open_push_targets(config);
    std::string failures;
    for (const WaitingGap& waiting : gaps) {
        const std::string failed = record(config, waiting, opened);
        if (failed.empty() && spool != nullptr) {
            spool->remove(waiting.gap.wal_name + std::string(kGap));
        }
        failures = failed.empty() ? failures : failed;
    }
    if (!failures.empty()) {
        log::warn("not every repository has a record of the dropped WAL:{}", failures);
    }
}

void record_gaps(const config::Config& config,
                 const engine::Spool& spool,
                 const PushTargets& opened)
{
    for (const std::string& name : spool.names()) {
        if (!name.ends_with(kGap)) {
            continue;
        }
        const auto waiting = parse_gap(spool.read_text(name));
        if (!waiting || waiting->gap.wal_name + std::string(kGap) != name) {
            log::warn("'{}' cannot be read and is removed", spool.path(name));
            spool.remove(name);
        } else if (record(config, *waiting, opened).empty()) {
            spool.remove(name);
        }
    }
}

} // namespace pgstrata::command
