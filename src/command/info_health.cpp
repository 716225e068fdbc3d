// SPDX-License-Identifier: PostgreSQL
#include "command/info_health.hpp"

#include "pgstrata/util/size.hpp"
#include "pgstrata/util/time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace pgstrata::command {

namespace {

using nlohmann::json;
using repository::RecoveryWindow;
using repository::WindowGap;
using repository::WindowStretch;

constexpr std::string_view kArchiveIndent = "        ";
constexpr std::string_view kBackupIndent = "            ";

template <typename T>
json value_or_null(const std::optional<T>& value)
{
    return value ? json(*value) : json();
}

json min_max_json(const std::vector<repository::WalRange>& ranges)
{
    json shown = json::array();
    for (const repository::WalRange& range : ranges) {
        shown.push_back({{"max", range.last}, {"min", range.first}});
    }
    return shown;
}

std::string ranges_text(const std::vector<repository::WalRange>& ranges)
{
    std::string text;
    for (const repository::WalRange& range : ranges) {
        text += fmt::format("{}{}/{}", text.empty() ? "" : ", ", range.first, range.last);
    }
    return text;
}

std::string time_text(const std::optional<UnixSeconds>& time, std::string_view otherwise)
{
    return time ? format_local_time(*time) : std::string(otherwise);
}

// For the beginning of a line about one repository of several.
std::string key_text(const InfoStanza& stanza, const InfoRepository& repo)
{
    return stanza.repositories.size() == 1 ? std::string() : fmt::format("repo{} ", repo.key);
}

// Rounded down: only all is 100.
std::uint64_t percent(const InfoVerified& verified)
{
    if (verified.bytes >= verified.total) {
        return 100;
    }
    return static_cast<std::uint64_t>(100.0 * static_cast<double>(verified.bytes) /
                                      static_cast<double>(verified.total));
}

// A run of gaps that retention has left, with single moments between, is one line.
struct GapLine {
    WindowGap gap;
    std::size_t moments = 0;
};

bool is_moment(const RecoveryWindow& window, const std::optional<UnixSeconds>& time)
{
    for (const WindowStretch& stretch : window.stretches) {
        if (time == stretch.start) {
            return stretch.stop == stretch.start;
        }
    }
    return false;
}

std::vector<GapLine> gap_lines(const RecoveryWindow& window)
{
    std::vector<GapLine> lines;
    for (const WindowGap& gap : window.gaps) {
        const bool goes_on = !lines.empty() && gap.missing.empty() &&
                             lines.back().gap.missing.empty() &&
                             lines.back().gap.before == gap.after && is_moment(window, gap.after);
        if (goes_on) {
            lines.back().gap.before = gap.before;
            ++lines.back().moments;
        } else {
            lines.push_back({gap});
        }
    }
    return lines;
}

std::string reason_text(const GapLine& line)
{
    if (!line.gap.missing.empty()) {
        return "wal missing: " + ranges_text(line.gap.missing);
    }
    if (line.moments == 0) {
        return "wal not kept";
    }
    return fmt::format(
        "wal not kept; {} backup{} between", line.moments, line.moments == 1 ? "" : "s");
}

} // namespace

json text_or_null(const std::string& text)
{
    return text.empty() ? json() : json(text);
}

json window_json(const InfoArchive& archive, unsigned repo_key)
{
    const RecoveryWindow& window = *archive.window;
    json shown = {{"archive-id", repository::to_string(archive.cluster.id)},
                  {"gap", json::array()},
                  {"repo-key", repo_key},
                  {"start", nullptr},
                  {"stop", value_or_null(repository::window_stop(window))},
                  {"stretch", json::array()}};
    if (!window.stretches.empty()) {
        shown["start"] = window.stretches.front().start;
    }
    for (const WindowStretch& stretch : window.stretches) {
        shown["stretch"].push_back({{"backup", stretch.label},
                                    {"start", stretch.start},
                                    {"stop", value_or_null(stretch.stop)},
                                    {"timeline", stretch.timeline},
                                    {"wal-start", text_or_null(stretch.first_wal)},
                                    {"wal-stop", text_or_null(stretch.last_wal)}});
    }
    for (const WindowGap& gap : window.gaps) {
        shown["gap"].push_back({{"after", value_or_null(gap.after)},
                                {"before", value_or_null(gap.before)},
                                {"wal", min_max_json(gap.missing)}});
    }
    if (!window.lost_histories.empty()) {
        shown["history-missing"] = window.lost_histories;
    }
    return shown;
}

std::string_view state_name(const engine::IncompleteBackup& backup)
{
    if (backup.is_expired) {
        return "expired";
    }
    return backup.is_in_progress ? "in progress" : "failed";
}

json incomplete_json(const engine::IncompleteBackup& backup, unsigned repo_key)
{
    const auto label = repository::parse_backup_label(backup.label);
    return {{"host", text_or_null(backup.host)},
            {"label", backup.label},
            {"renewed", value_or_null(backup.renewed)},
            {"repo-key", repo_key},
            {"resumable", backup.can_be_resumed},
            {"start", label ? json(label->time) : json()},
            {"state", state_name(backup)},
            {"type", label ? json(repository::to_string(label->type)) : json()}};
}

json verified_json(const InfoVerified& verified, unsigned repo_key)
{
    json shown = {{"bytes", verified.bytes},
                  {"damage", json::array()},
                  {"repo-key", repo_key},
                  {"since", value_or_null(verified.since)},
                  {"total", verified.total}};
    for (const InfoDamage& damage : verified.damage) {
        shown["damage"].push_back({{"backup", damage.pack.label},
                                   {"pack", damage.pack.number},
                                   {"problem", damage.problem}});
    }
    return shown;
}

void add_health(json& shown, const InfoBackup& backup)
{
    const repository::BackupSummary& summary = backup.summary;
    shown["host"] = text_or_null(summary.host);
    shown["retention"] = {{"class", text_or_null(backup.retention.name)},
                          {"expires", value_or_null(backup.retention.expires)},
                          {"pinned", summary.is_pinned},
                          {"schedule", text_or_null(summary.schedule)}};
    shown["throughput"] = value_or_null(throughput(summary));
    if (!backup.missing_wal.empty()) {
        shown["wal-missing"] = min_max_json(backup.missing_wal);
    }
}

std::string window_text(const RecoveryWindow& window, unsigned repo_key)
{
    const std::string name =
        repo_key == 0 ? std::string("window") : fmt::format("window (repo{})", repo_key);
    std::string text;
    if (!window.stretches.empty()) {
        text += fmt::format("{}{}: {} / {}\n",
                            kArchiveIndent,
                            name,
                            format_local_time(window.stretches.front().start),
                            time_text(repository::window_stop(window), "unknown"));
    }
    for (const GapLine& line : gap_lines(window)) {
        text += fmt::format("{}{} gap: {} / {} ({})\n",
                            kArchiveIndent,
                            name,
                            time_text(line.gap.after, "unknown"),
                            time_text(line.gap.before, "next backup"),
                            reason_text(line));
    }
    for (const postgres::Timeline timeline : window.lost_histories) {
        text += fmt::format("{}{} without timeline {}: its history is not in the archive\n",
                            kArchiveIndent,
                            name,
                            timeline);
    }
    return text;
}

std::string incomplete_text(const InfoStanza& stanza)
{
    std::string text;
    for (const InfoRepository& repo : stanza.repositories) {
        const std::string key = key_text(stanza, repo);
        for (const engine::IncompleteBackup& backup : repo.incomplete) {
            const auto label = repository::parse_backup_label(backup.label);
            text += fmt::format(
                "    {}backup {}: {}{}{}{}\n",
                key,
                backup.label,
                backup.is_expired ? "expired and partly removed" : state_name(backup),
                backup.host.empty() ? "" : " on " + backup.host,
                label ? fmt::format(", started {}", format_local_time(label->time)) : "",
                backup.can_be_resumed ? " (can be resumed)" : "");
        }
    }
    return text;
}

std::string verified_text(const InfoStanza& stanza)
{
    std::string text;
    for (const InfoRepository& repo : stanza.repositories) {
        if (!repo.verified) {
            continue;
        }
        const InfoVerified& verified = *repo.verified;
        const std::string key = key_text(stanza, repo);
        text += fmt::format("    {}verified: {}%{}\n",
                            key,
                            percent(verified),
                            verified.since ? " since " + format_local_time(*verified.since) : "");
        for (const InfoDamage& damage : verified.damage) {
            text += fmt::format("    {}damaged: pack {:06} of backup {}: {}\n",
                                key,
                                damage.pack.number,
                                damage.pack.label,
                                damage.problem);
        }
    }
    return text;
}

std::string health_text(const InfoBackup& backup)
{
    const repository::BackupSummary& summary = backup.summary;
    std::string text;
    if (!backup.missing_wal.empty()) {
        text += fmt::format(
            "{}wal missing from the archive: {}\n", kBackupIndent, ranges_text(backup.missing_wal));
    }
    if (!backup.retention.name.empty() && backup.retention.name != "classic") {
        text += fmt::format("{}retention: {}{}\n",
                            kBackupIndent,
                            backup.retention.name,
                            backup.retention.expires
                                ? ", expires " + format_local_time(*backup.retention.expires)
                                : std::string());
    }
    const auto speed = throughput(summary);
    if (!summary.host.empty()) {
        text += fmt::format("{}host: {}{}\n",
                            kBackupIndent,
                            summary.host,
                            speed ? fmt::format(", {}/s read", format_size(*speed)) : "");
    }
    return text;
}

} // namespace pgstrata::command
