// SPDX-License-Identifier: PostgreSQL
#include "command/archive_push.hpp"

#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_gap.hpp"
#include "pgstrata/util/process.hpp"

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>

namespace pgstrata::command {

namespace {

using engine::Spool;

constexpr const char* kReason = "archive-push-queue-max was exceeded";

// A record as it waits in the spool for the repositories.
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

WaitingGap make_gap(const config::Config& config, const std::string& wal_name)
{
    WaitingGap waiting{{wal_name, kReason, now_seconds(), host_name()}};
    if (config.has("pg-path")) {
        waiting.system_identifier =
            postgres::read_control_file(config.text("pg-path")).control.system_identifier;
    }
    return waiting;
}

std::string spool_name(std::string_view wal_name)
{
    return fmt::format("{}{}", wal_name, Spool::kGapSuffix);
}

// A spool that is closed to us holds none of ours.
bool has_gaps(const Spool& spool)
{
    if (::access(spool.path().c_str(), R_OK | W_OK | X_OK) != 0) {
        return false;
    }
    return std::ranges::any_of(
        spool.names(), [](const std::string& name) { return name.ends_with(Spool::kGapSuffix); });
}

// By name. What cannot be read is removed.
std::vector<WaitingGap> read_gaps(const Spool& spool)
{
    std::vector<WaitingGap> gaps;
    for (const std::string& name : spool.names()) {
        if (!name.ends_with(Spool::kGapSuffix)) {
            continue;
        }
        const auto waiting = parse_gap(spool.read_text(name));
        if (waiting && spool_name(waiting->gap.wal_name) == name) {
            gaps.push_back(*waiting);
        } else {
            log::warn("'{}' cannot be read and is removed", spool.path(name));
            spool.remove(name);
        }
    }
    return gaps;
}

bool is_about(const WaitingGap& waiting, const engine::PushTarget& target)
{
    return waiting.system_identifier == 0 ||
           waiting.system_identifier == target.cluster.system_identifier;
}

// Goes through the records from the first to be recorded on, `done` with each that the target has
// in the end. The time ends it after at least one that was new.
void record_in(const engine::PushTarget& target,
               const std::string& stanza,
               const std::vector<WaitingGap>& gaps,
               std::uint64_t deadline,
               std::size_t& done)
{
    const auto known = repository::gap_names(*target.repository, stanza, target.cluster.id);
    for (const WaitingGap& waiting : gaps) {
        const bool is_new = is_about(waiting, target) && !known.contains(waiting.gap.wal_name);
        if (is_new) {
            repository::write_gap(*target.repository, stanza, target.cluster.id, waiting.gap);
        }
        ++done;
        if (is_new && monotonic_milliseconds() >= deadline) {
            return;
        }
    }
}

struct Recording {
    std::size_t done = 0; // records, from the first on, that every repository has
    std::string failures;
};

// A repository is given up at its first failure.
Recording record(const config::Config& config,
                 const std::vector<WaitingGap>& gaps,
                 const PushTargets& opened,
                 std::uint64_t limit)
{
    Recording recording{opened.failures.empty() ? gaps.size() : 0, opened.failures};
    for (const engine::PushTarget& target : opened.targets) {
        std::size_t done = 0;
        recording.failures += try_repositories({target.index}, [&](unsigned) {
            record_in(target, config.text("stanza"), gaps, monotonic_milliseconds() + limit, done);
        });
        recording.done = std::min(recording.done, done);
    }
    return recording;
}

void warn_of_failures(const std::string& failures)
{
    if (!failures.empty()) {
        log::warn("not every repository has a record of the dropped WAL:{}", failures);
    }
}

} // namespace

engine::Spool push_spool(const config::Config& config)
{
    return {config.text("spool-path"), config.text("stanza"), engine::SpoolFolder::out};
}

void leave_gap(const config::Config& config, const Spool& spool, const std::string& wal_name)
{
    spool.write_text(spool_name(wal_name), to_text(make_gap(config, wal_name)));
}

void record_gaps(const config::Config& config,
                 const Spool& spool,
                 const std::function<const PushTargets&()>& open,
                 std::uint64_t limit)
{
    try {
        if (!has_gaps(spool)) {
            return;
        }
        const PushTargets& opened = open();
        const std::vector<WaitingGap> gaps = read_gaps(spool);
        const Recording recording = record(config, gaps, opened, limit);
        for (std::size_t i = 0; i < recording.done; ++i) {
            spool.remove(spool_name(gaps[i].gap.wal_name));
        }
        warn_of_failures(recording.failures);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::terminated) {
            throw;
        }
        log::warn("records of dropped WAL stay in '{}': {}", spool.path(), error.what());
    }
}

void drop_wal(const config::Config& config, const std::string& wal_name)
{
    try {
        const Spool spool = push_spool(config);
        spool.prepare();
        leave_gap(config, spool, wal_name);
    } catch (const Error& error) {
        log::detail("no record of dropped WAL can be left in the spool: {}", error.what());
        const PushTargets opened = open_push_targets(config, Patience::brief);
        warn_of_failures(
            record(config, {make_gap(config, wal_name)}, opened, kRecordMilliseconds).failures);
    }
}

} // namespace pgstrata::command
