// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/verify_report.hpp"

#include <nlohmann/json.hpp>

#include <limits>

namespace pgstrata::command {

namespace {

using nlohmann::json;

std::string_view kind_name(engine::FaultKind kind)
{
    switch (kind) {
    case engine::FaultKind::missing:
        return "missing";
    case engine::FaultKind::checksum:
        return "checksum";
    case engine::FaultKind::size:
        return "size";
    case engine::FaultKind::unreadable:
        return "unreadable";
    case engine::FaultKind::other:
        break;
    }
    return "other";
}

std::string_view state_word(engine::BackupState state)
{
    switch (state) {
    case engine::BackupState::valid:
        return "valid";
    case engine::BackupState::invalid:
        return "invalid";
    case engine::BackupState::manifest_missing:
        return "manifest-missing";
    case engine::BackupState::in_progress:
        break;
    }
    return "in-progress";
}

json faults_json(const std::vector<engine::VerifyFault>& faults)
{
    auto shown = json::array();
    for (const engine::VerifyFault& fault : faults) {
        shown.push_back({{"kind", kind_name(fault.kind)},
                         {"object", fault.object},
                         {"problem", fault.problem}});
    }
    return shown;
}

json start_stop_json(const std::vector<repository::WalRange>& ranges)
{
    auto shown = json::array();
    for (const repository::WalRange& range : ranges) {
        shown.push_back({{"start", range.first}, {"stop", range.last}});
    }
    return shown;
}

json archive_json(const engine::VerifiedArchive& archive)
{
    auto histories = json::array();
    for (const postgres::Timeline timeline : archive.lost_histories) {
        histories.push_back(fmt::format("{:08X}.history", timeline));
    }
    return {{"id", to_string(archive.id)},
            {"checked", archive.checked},
            {"valid", archive.valid},
            {"fault", faults_json(archive.faults)},
            {"gap", start_stop_json(archive.gaps)},
            {"history-missing", histories}};
}

json lost_json(const engine::VerifiedBackup& backup)
{
    auto shown = json::array();
    for (const engine::LostFile& file : backup.lost) {
        json pages;
        if (!describe_pages(file.pages).empty()) {
            pages = json::array();
            for (const engine::PageRange& range : file.pages) {
                pages.push_back({range.begin, range.end - 1});
            }
        }
        shown.push_back({{"file", file.path}, {"page", pages}});
    }
    return shown;
}

json backup_json(const engine::VerifiedBackup& backup)
{
    return {{"label", backup.label},
            {"status", state_word(backup.state)},
            {"checked", backup.files},
            {"valid", backup.valid_files},
            {"fault", faults_json(backup.faults)},
            {"lost", lost_json(backup)},
            {"restorable", backup.is_restorable},
            {"wal-missing", start_stop_json(backup.missing_wal)},
            {"wal",
             {{"last", backup.last_wal.empty() ? json() : json(backup.last_wal)},
              {"timeline", backup.timeline},
              {"gap", backup.ends_at_gap}}}};
}

} // namespace

std::string render_verify_json(const engine::VerifyReport& report)
{
    json shown = {{"stanza", report.stanza},
                  {"depth", repository::depth_name(report.depth)},
                  {"status", report.findings() != 0 ? "error" : "ok"},
                  {"findings", report.findings()},
                  {"bytes", report.bytes},
                  {"fault", faults_json(report.faults)},
                  {"archive", json::array()},
                  {"backup", json::array()}};
    for (const engine::VerifiedArchive& archive : report.archives) {
        shown["archive"].push_back(archive_json(archive));
    }
    for (const engine::VerifiedBackup& backup : report.backups) {
        shown["backup"].push_back(backup_json(backup));
    }
    return shown.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

} // namespace pgstrata::command
