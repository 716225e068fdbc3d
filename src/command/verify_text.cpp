// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/verify_report.hpp"
#include "pgstrata/util/error.hpp"

#include <array>
#include <charconv>
#include <limits>

namespace pgstrata::command {

namespace {

using engine::BackupState;
using engine::FaultKind;
using engine::PageRange;
using engine::VerifiedArchive;
using engine::VerifiedBackup;
using engine::VerifyFault;

using Counts = std::array<std::uint64_t, 4>; // by FaultKind

// The line has no place of its own for what cannot be read.
std::uint64_t& of(Counts& counts, FaultKind kind)
{
    const FaultKind shown = kind == FaultKind::unreadable ? FaultKind::other : kind;
    return counts.at(static_cast<std::size_t>(shown));
}

Counts count(const std::vector<VerifyFault>& faults)
{
    Counts counts{};
    for (const VerifyFault& fault : faults) {
        ++of(counts, fault.kind);
    }
    return counts;
}

std::string counts_line(const Counts& counts)
{
    return fmt::format("    missing: {}, checksum invalid: {}, size invalid: {}, other: {}\n",
                       counts[0],
                       counts[1],
                       counts[2],
                       counts[3]);
}

std::string fault_lines(const std::vector<VerifyFault>& faults)
{
    std::string text;
    for (const VerifyFault& fault : faults) {
        text += fmt::format("    {}: {}: {}\n",
                            fault.kind == FaultKind::unreadable ? "unreadable" : "damaged",
                            fault.object,
                            fault.problem);
    }
    return text;
}

std::string range_lines(std::string_view what, const std::vector<repository::WalRange>& ranges)
{
    std::string text;
    for (const repository::WalRange& range : ranges) {
        text += range.first == range.last
                    ? fmt::format("    {}: {}\n", what, range.first)
                    : fmt::format("    {}: {} - {}\n", what, range.first, range.last);
    }
    return text;
}

std::string archive_text(const VerifiedArchive& archive, Verbosity verbosity)
{
    Counts counts = count(archive.faults);
    of(counts, FaultKind::missing) += archive.gaps.size() + archive.lost_histories.size();
    const bool is_wrong = counts != Counts{};
    if (!is_wrong && verbosity == Verbosity::findings) {
        return {};
    }
    std::string text = fmt::format("  archiveId: {}, total WAL checked: {}, total valid WAL: {}\n",
                                   to_string(archive.id),
                                   archive.checked,
                                   archive.valid);
    if (is_wrong) {
        text +=
            counts_line(counts) + fault_lines(archive.faults) + range_lines("gap", archive.gaps);
    }
    for (const postgres::Timeline timeline : archive.lost_histories) {
        text += fmt::format("    history missing: {:08X}.history\n", timeline);
    }
    return text;
}

std::string_view state_phrase(BackupState state)
{
    switch (state) {
    case BackupState::valid:
        return "valid";
    case BackupState::invalid:
        return "invalid";
    case BackupState::manifest_missing:
        return "manifest missing";
    case BackupState::in_progress:
        break;
    }
    return "in-progress";
}

std::string lost_lines(const VerifiedBackup& backup)
{
    std::string text;
    for (const engine::LostFile& file : backup.lost) {
        const std::string pages = describe_pages(file.pages);
        text += fmt::format("    lost: {}{}\n", file.path, pages.empty() ? "" : ", " + pages);
    }
    const std::uint64_t all = backup.files - backup.valid_files;
    if (all > backup.lost.size()) {
        text += fmt::format("    lost: {} more files\n", all - backup.lost.size());
    }
    return text;
}

std::string wal_line(const VerifiedBackup& backup)
{
    if (backup.last_wal.empty()) {
        return {};
    }
    return fmt::format("    WAL goes on to {} on the way to timeline {}{}\n",
                       backup.last_wal,
                       backup.timeline,
                       backup.ends_at_gap ? ", where a gap ends it" : "");
}

std::string backup_text(const VerifiedBackup& backup, Verbosity verbosity)
{
    const bool is_quiet =
        backup.state == BackupState::valid || backup.state == BackupState::in_progress;
    if (is_quiet && verbosity == Verbosity::findings) {
        return {};
    }
    std::string text =
        fmt::format("  backup: {}, status: {}, total files checked: {}, total valid files: {}\n",
                    backup.label,
                    state_phrase(backup.state),
                    backup.files,
                    backup.valid_files);
    if (!is_quiet) {
        Counts counts = count(backup.faults);
        of(counts, FaultKind::missing) += backup.missing_wal.size();
        text += counts_line(counts) + fault_lines(backup.faults) + lost_lines(backup) +
                range_lines("WAL missing", backup.missing_wal);
    }
    return text + (verbosity == Verbosity::all ? wal_line(backup) : "");
}

std::string labels_line(const engine::VerifyReport& report, bool is_restorable)
{
    std::string labels;
    for (const VerifiedBackup& backup : report.backups) {
        if (backup.state != BackupState::in_progress && backup.is_restorable == is_restorable) {
            labels += (labels.empty() ? "" : ", ") + backup.label;
        }
    }
    return fmt::format("  backups that {} be restored: {}\n",
                       is_restorable ? "can" : "cannot",
                       labels.empty() ? "none" : labels);
}

} // namespace

std::string describe_pages(const std::vector<PageRange>& pages)
{
    if (pages.empty() || pages.front().end == std::numeric_limits<std::uint32_t>::max()) {
        return {};
    }
    std::string text;
    for (const PageRange& range : pages) {
        text += text.empty() ? "" : ", ";
        text += range.end - range.begin == 1 ? fmt::format("{}", range.begin)
                                             : fmt::format("{}-{}", range.begin, range.end - 1);
    }
    const bool is_one = pages.size() == 1 && pages.front().end - pages.front().begin == 1;
    return (is_one ? "page " : "pages ") + text;
}

double parse_sample(std::string_view text)
{
    const std::string_view number = text.substr(0, text.find('%'));
    double percent = 0;
    const auto [end, error] = std::from_chars(
        number.data(), number.data() + number.size(), percent, std::chars_format::fixed);
    if (text.size() != number.size() + 1 || error != std::errc() ||
        end != number.data() + number.size() || !(percent > 0) || percent > 100) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' is not valid for 'sample' option", text),
                    "a share such as 5%, more than 0% and at most 100%");
    }
    return percent;
}

std::string render_verify_text(const engine::VerifyReport& report, Verbosity verbosity)
{
    const bool is_wrong = report.findings() != 0;
    if (!is_wrong && verbosity == Verbosity::findings) {
        return {};
    }
    std::string text =
        fmt::format("stanza: {}\nstatus: {}\n", report.stanza, is_wrong ? "error" : "ok");
    text += fault_lines(report.faults);
    for (const VerifiedArchive& archive : report.archives) {
        text += archive_text(archive, verbosity);
    }
    if (report.archives.empty()) {
        text += "  archiveId: none found\n";
    }
    for (const VerifiedBackup& backup : report.backups) {
        text += backup_text(backup, verbosity);
    }
    if (report.backups.empty()) {
        text += "  backup: none found\n";
    }
    return text + labels_line(report, true) + labels_line(report, false) +
           fmt::format("  depth: {}\n", repository::depth_name(report.depth));
}

} // namespace pgstrata::command
