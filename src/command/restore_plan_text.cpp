// SPDX-License-Identifier: PostgreSQL
#include "command/restore_plan_text.hpp"

#include "pgstrata/util/size.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>

namespace pgstrata::command {

namespace {

using engine::RecoveryPlan;
using engine::RestorePlan;
using engine::Reuse;
using engine::TargetFilesystem;
using repository::RecoveryType;

class PlanText {
public:
    template <typename... Arguments>
    void add(std::string_view name, fmt::format_string<Arguments...> format, Arguments&&... values)
    {
        text += fmt::format("    {:<16}{}\n",
                            name.empty() ? "" : std::string(name) + ":",
                            fmt::format(format, std::forward<Arguments>(values)...));
    }

    std::string text;
};

void add_backup(const RestorePlan& plan, PlanText& out)
{
    const repository::BackupSummary& backup = plan.backup;
    out.add("backup",
            "{} ({}) in repo{}, PostgreSQL {}",
            backup.label,
            repository::to_string(backup.type),
            plan.repo_index,
            backup.archive_id.major);
    out.add(
        "", "{} to {}", format_local_time(backup.start_time), format_local_time(backup.stop_time));
    std::string label;
    for (const repository::PackInfo& pack : plan.manifest.packs) {
        if (pack.name.label != label) {
            out.add(label.empty() ? "reads from" : "", "{}", pack.name.label);
            label = pack.name.label;
        }
    }
    if (!backup.damaged_files.empty()) {
        out.add("damaged", "{} files had page checksum errors", backup.damaged_files.size());
    }
}

std::string describe_type(const engine::RestoreOptions& options, const RecoveryPlan& recovery)
{
    const std::string& target = options.settings.target;
    switch (recovery.settings.type) {
    case RecoveryType::standard:
        return "to the end of the archive";
    case RecoveryType::immediate:
        return "to the end of the backup";
    case RecoveryType::lsn:
        return fmt::format("to lsn {}", target);
    case RecoveryType::name:
        return fmt::format("to restore point '{}'", target);
    case RecoveryType::time:
        return fmt::format("to {}", target);
    case RecoveryType::xid:
        return fmt::format("to transaction {}", target);
    case RecoveryType::preserve:
        return "as the settings in the data directory say";
    case RecoveryType::standby:
        return "as a standby";
    case RecoveryType::none:
        break;
    }
    return "none";
}

// What recovery can read in one piece from the backup on, and where that ends.
void add_window(const RestorePlan& plan, PlanText& out)
{
    const engine::WalWindow& window = *plan.recovery.window;
    const auto name = [&](const postgres::WalSegment& segment) {
        return postgres::to_string(segment, plan.cluster.wal_segment_size);
    };
    if (plan.backup.is_online) {
        out.add("WAL needed",
                "{} to {}: {}",
                plan.backup.start_wal,
                plan.backup.stop_wal,
                plan.recovery.has_backup_wal ? "complete" : "NOT COMPLETE");
    }
    if (window.segments.empty()) {
        out.add("WAL archived", "none from the backup on");
    } else {
        out.add("WAL archived",
                "{} to {}",
                name(window.segments.front()),
                name(window.segments.back()));
    }
    if (window.gap) {
        out.add("", "GAP: {} is missing, recovery cannot go beyond it", name(*window.gap));
    }
    if (!plan.recovery.newest_commit || !plan.recovery.has_backup_wal) {
        return;
    }
    const engine::NewestTransactionEnd& newest = *plan.recovery.newest_commit;
    out.add("can reach",
            "{} to {}",
            format_local_time(plan.backup.stop_time),
            newest.time               ? format_timestamp_microseconds(*newest.time)
            : newest.is_proved_absent ? "the same: the archive has no commit after it"
                                      : "an unknown time: the newest WAL holds no commit");
}

void add_recovery(const engine::RestoreOptions& options, const RestorePlan& plan, PlanText& out)
{
    out.add("recovery", "{}", describe_type(options, plan.recovery));
    if (plan.recovery.timeline) {
        out.add("timeline", "{}", *plan.recovery.timeline);
    }
    if (plan.recovery.window) {
        add_window(plan, out);
    }
}

void add_links(const RestorePlan& plan, PlanText& out)
{
    for (const engine::RestoredLink& link : plan.layout->links()) {
        out.add(link.is_tablespace ? "tablespace" : "link", "{} -> {}", link.path, link.target);
    }
    for (const repository::ManifestLink& link : plan.layout->plain()) {
        out.add("no link", "{}, was {}", link.path, link.destination);
    }
    if (plan.layout->has_zeroed_databases()) {
        out.add("hollow", "{} databases", plan.layout->zeroed_databases().size());
    }
}

void add_filesystem(const TargetFilesystem& filesystem, PlanText& out)
{
    const std::string reused =
        filesystem.reused == 0
            ? ""
            : fmt::format(", {} taken by what is replaced", format_size(filesystem.reused));
    out.add("space",
            "{}: {} needed, {} free{}: {}",
            filesystem.path,
            format_size(filesystem.needed),
            format_size(filesystem.free),
            reused,
            filesystem.is_enough() ? "enough"
            : filesystem.is_exact  ? "NOT ENOUGH"
                                   : "NOT ENOUGH unless it is compressed");
}

void add_target(const engine::RestoreOptions& options, const RestorePlan& plan, PlanText& out)
{
    out.add("target", "{}", options.layout.data_directory);
    add_links(plan, out);
    std::uint64_t packs = 0;
    for (const repository::PackInfo& pack : plan.manifest.packs) {
        packs += pack.size;
    }
    out.add("fetch", "at most {} in {} packs", format_size(packs), plan.manifest.packs.size());
    if (!plan.survey) {
        return;
    }
    const engine::TargetSurvey& survey = *plan.survey;
    const bool is_delta = plan.reuse != Reuse::nothing;
    out.add("write",
            "{}{} in {} files",
            is_delta ? "at most " : "",
            format_size(survey.bytes_needed),
            plan.manifest.files.size());
    if (is_delta) {
        out.add("compare", "{} that are there", format_size(survey.bytes_compared));
    }
    if (survey.removed != 0) {
        out.add("remove", "{} files", survey.removed);
        for (const std::string& path : survey.first_removed) {
            out.add("", "{}", path);
        }
        if (survey.removed > survey.first_removed.size()) {
            out.add("", "...");
        }
    }
    for (const std::string& name : plan.kept) {
        out.add("keep", "{}", name);
    }
    for (const TargetFilesystem& filesystem : survey.filesystems) {
        add_filesystem(filesystem, out);
    }
}

// Recovery will fail where it comes to ask them.
void add_failures(std::string_view failures, PlanText& out)
{
    std::string_view name = "passed over";
    while (!failures.empty()) {
        failures.remove_prefix(1);
        const std::string_view line = failures.substr(0, failures.find('\n'));
        out.add(name, "{}", line);
        failures.remove_prefix(line.size());
        name = "";
    }
}

} // namespace

std::string render_restore_plan(const engine::RestoreOptions& options,
                                const RestorePlan& plan,
                                std::string_view failures)
{
    PlanText out;
    out.text = fmt::format("restore of stanza {}\n", options.stanza);
    add_backup(plan, out);
    add_recovery(options, plan, out);
    add_target(options, plan, out);
    add_failures(failures, out);
    for (const Error& problem : plan.problems) {
        out.add("PROBLEM", "[{:03}] {}", problem.exit_status(), problem.what());
        if (!problem.hint().empty()) {
            out.add("", "HINT: {}", problem.hint());
        }
    }
    out.add("result",
            "{}",
            plan.problems.empty() ? "the restore can be carried out" : "the restore would fail");
    return out.text;
}

} // namespace pgstrata::command
