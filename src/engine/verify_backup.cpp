// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_backup.hpp"

#include "engine/damaged_files.hpp"
#include "engine/needed_backups.hpp"
#include "engine/own_wal.hpp"
#include "engine/verify_archive.hpp"
#include "engine/verify_unreadable.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/identity.hpp"
#include "pgstrata/repository/notes.hpp"
#include "pgstrata/repository/object_error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace pgstrata::engine {

using repository::BackupSummary;

namespace {

// Each by itself, so that the damaged one is named.
void inspect_notes(const repository::Repository& repository,
                   const std::string& stanza,
                   InspectedBackup& backup)
{
    const std::string directory = repository::notes_path(stanza, backup.result.label);
    std::vector<std::string> paths;
    repository.storage().list(directory, [&](const storage::EntryInfo& entry) {
        if (repository::parse_note_name(entry.name)) {
            paths.push_back(fmt::format("{}/{}", directory, entry.name));
        }
    });
    for (const std::string& path : paths) {
        try {
            repository.read_document(path);
        } catch (const Error& error) {
            rethrow_unless_of_object(repository, error);
            add_fault(backup, kind_of(error.code()), path, problem_of(error));
        }
    }
}

void inspect_summary(const repository::Repository& repository,
                     const std::string& stanza,
                     InspectedBackup& backup)
{
    const std::string& label = backup.result.label;
    const std::string path = repository::summary_path(stanza, label);
    inspect_notes(repository, stanza, backup);
    try {
        repository.read_document(path);
        backup.summary = repository::read_summary(repository, stanza, label);
    } catch (const Error& error) {
        rethrow_unless_of_object(repository, error);
        const bool is_note = !backup.result.faults.empty() &&
                             std::string_view(error.what()).find(path) == std::string_view::npos;
        if (!is_note) {
            add_fault(backup, kind_of(error.code()), path, problem_of(error));
        }
    }
}

BackupSummary summary_of(const repository::ManifestHeader& header)
{
    BackupSummary summary;
    summary.label = header.label;
    summary.archive_id = header.archive_id;
    summary.system_identifier = header.system_identifier;
    summary.is_online = header.is_online;
    summary.timeline = header.timeline;
    summary.start_lsn = header.start_lsn;
    summary.stop_lsn = header.stop_lsn;
    summary.prior = header.prior;
    return summary;
}

bool agree(const BackupSummary& summary, const repository::Manifest& head)
{
    const repository::ManifestHeader& header = head.header;
    return summary.archive_id == header.archive_id &&
           summary.system_identifier == header.system_identifier &&
           summary.is_online == header.is_online && summary.timeline == header.timeline &&
           summary.start_lsn == header.start_lsn && summary.stop_lsn == header.stop_lsn &&
           summary.prior == header.prior && summary.references == repository::references_of(head);
}

void inspect_manifest(const repository::Repository& repository,
                      const std::string& stanza,
                      InspectedBackup& backup)
{
    const std::string& label = backup.result.label;
    const std::string path = repository::manifest_path(stanza, label);
    try {
        repository::ManifestReader reader(repository, stanza, label);
        const repository::Manifest& head = reader.head();
        backup.has_manifest = true;
        backup.packs = head.packs;
        if (!backup.summary) {
            backup.summary = summary_of(head.header);
        } else if (!agree(*backup.summary, head)) {
            add_fault(backup,
                      FaultKind::other,
                      path,
                      fmt::format("'{}' and backup.json do not say the same of the backup", path));
        }
    } catch (const Error& error) {
        rethrow_unless_of_object(repository, error);
        add_fault(backup, kind_of(error.code()), path, problem_of(error));
        if (error.code() == ErrorCode::file_missing) {
            backup.result.state = BackupState::manifest_missing;
        }
    }
}

// Where nobody can look is a fault by itself.
bool is_there(const repository::Repository& repository,
              const std::string& path,
              InspectedBackup& backup)
{
    try {
        return repository.storage().info(path).has_value();
    } catch (const Error& error) {
        rethrow_unless_of_object(repository, error);
        add_fault(backup, kind_of(error.code()), path, problem_of(error));
        return true;
    }
}

void inspect_references(const repository::Repository& repository,
                        const std::string& stanza,
                        InspectedBackup& backup)
{
    std::set<std::string> labels;
    for (const repository::PackInfo& pack : backup.packs) {
        labels.insert(pack.name.label);
    }
    labels.erase(backup.result.label);
    for (const std::string& label : labels) {
        const std::string path = repository::summary_path(stanza, label);
        if (!is_there(repository, path, backup)) {
            backup.result.state = BackupState::invalid;
            backup.result.faults.push_back(
                {FaultKind::missing,
                 path,
                 fmt::format("backup {} needs backup {}, which is not complete",
                             backup.result.label,
                             label)});
        }
    }
}

} // namespace

void add_fault(InspectedBackup& backup, FaultKind kind, std::string path, std::string problem)
{
    backup.result.state = BackupState::invalid;
    backup.result.is_restorable = false;
    backup.result.faults.push_back({kind, std::move(path), std::move(problem)});
}

namespace {

// One that died counts as in progress too, since the next backup may go on with it.
std::optional<InspectedBackup> inspect_incomplete(const repository::Repository& repository,
                                                  const std::string& stanza,
                                                  InspectedBackup backup)
{
    const std::string& label = backup.result.label;
    if (is_expired(repository, stanza, label)) {
        log::info("backup {} is expired and partly removed: the next expire removes the rest",
                  label);
        return std::nullopt;
    }
    log::info("backup {} is incomplete: it died, and a later one goes on with it or removes it",
              label);
    backup.result.state = BackupState::in_progress;
    backup.result.is_restorable = false;
    backup.is_dead = true;
    return backup;
}

std::optional<InspectedBackup> inspect_documents(const repository::Repository& repository,
                                                 const std::string& stanza,
                                                 const std::string& label)
{
    InspectedBackup backup;
    backup.result.label = label;
    const std::string path = repository::summary_path(stanza, label);
    if (!repository.storage().info(path)) {
        if (is_in_progress(repository, stanza, label)) {
            backup.result.state = BackupState::in_progress;
            backup.result.is_restorable = false;
            return backup;
        }
        // It may have become complete since.
        if (!repository.storage().info(path)) {
            if (!has_lost_summary(repository, stanza, label)) {
                return inspect_incomplete(repository, stanza, std::move(backup));
            }
            add_fault(backup,
                      FaultKind::missing,
                      path,
                      fmt::format("'{}' is missing, although the backup has a manifest", path));
        }
    }
    if (backup.result.state == BackupState::valid) {
        inspect_summary(repository, stanza, backup);
    }
    inspect_manifest(repository, stanza, backup);
    inspect_references(repository, stanza, backup);
    return backup;
}

} // namespace

std::optional<InspectedBackup> inspect_backup(const repository::Repository& repository,
                                              const std::string& stanza,
                                              const std::string& label)
{
    try {
        return inspect_documents(repository, stanza, label);
    } catch (const Error& error) {
        rethrow_unless_of_object(repository, error);
        InspectedBackup backup;
        backup.result.label = label;
        backup.is_unreadable = true;
        add_fault(backup,
                  kind_of(error.code()),
                  repository::backup_path(stanza, label),
                  problem_of(error));
        return backup;
    }
}

std::vector<repository::PackInfo> collect_packs(const std::string& stanza,
                                                std::vector<InspectedBackup>& backups)
{
    std::map<repository::PackName, std::uint64_t> sizes;
    for (InspectedBackup& backup : backups) {
        for (const repository::PackInfo& pack : backup.packs) {
            const auto known = sizes.emplace(pack.name, pack.size).first;
            if (known->second != pack.size) {
                add_fault(backup,
                          FaultKind::other,
                          repository::manifest_path(stanza, backup.result.label),
                          fmt::format("the manifest says another size of pack {} of backup {} than "
                                      "another manifest",
                                      pack.name.number,
                                      pack.name.label));
            }
        }
    }
    std::vector<repository::PackInfo> packs;
    packs.reserve(sizes.size());
    for (const auto& [name, size] : sizes) {
        packs.push_back({name, size});
    }
    return packs;
}

bool is_removed(const repository::Repository& repository,
                const std::string& stanza,
                const InspectedBackup& backup)
{
    const std::string& label = backup.result.label;
    const storage::Storage& storage = repository.storage();
    if (backup.is_unreadable) {
        return false;
    }
    const bool is_complete = backup.result.faults.empty() && backup.has_manifest;
    const bool is_gone = !storage.info(repository::summary_path(stanza, label)) &&
                         (is_complete || !storage.info(repository::manifest_path(stanza, label)));
    if (!is_gone || backup.result.state == BackupState::in_progress) {
        return false;
    }
    log::warn("backup {} was removed while it was verified", label);
    return true;
}

std::vector<repository::BackupSummary> newer_summaries(const repository::Repository& repository,
                                                       const std::string& stanza,
                                                       const std::vector<InspectedBackup>& backups)
{
    std::set<std::string> known;
    for (const InspectedBackup& backup : backups) {
        if (backup.summary) {
            known.insert(backup.result.label);
        }
    }
    std::vector<repository::BackupSummary> newer;
    for (const std::string& label : repository::list_labels(repository, stanza)) {
        if (known.contains(label)) {
            continue;
        }
        try {
            if (auto summary = repository::read_summary(repository, stanza, label)) {
                newer.push_back(std::move(*summary));
            }
        } catch (const Error& error) {
            rethrow_unless_of_object(repository, error);
        }
    }
    return newer;
}

namespace {

// A page map that cannot be read leaves none of the file's pages to be found.
std::vector<PageRange> find_damage(const repository::Repository& repository,
                                   DamagedFiles& damaged,
                                   const repository::ManifestFile& file)
{
    try {
        return damaged.find(file);
    } catch (const Error& error) {
        rethrow_unless_of_object(repository, error);
        return {{0, UINT32_MAX}};
    }
}

repository::ErrorJudge is_fault_in(const repository::Repository& repository)
{
    return [&repository](const Error& error) { return repository::is_unusable(repository, error); };
}

std::vector<VerifyFault> faults_of(const std::vector<repository::TwinFault>& found)
{
    std::vector<VerifyFault> faults;
    faults.reserve(found.size());
    for (const repository::TwinFault& fault : found) {
        faults.push_back({kind_of(fault.error.code()), fault.object, problem_of(fault.error)});
    }
    return faults;
}

} // namespace

void find_lost_files(const repository::Repository& repository,
                     const std::string& stanza,
                     const repository::Damage& damage,
                     InspectedBackup& backup)
{
    DamagedFiles damaged(repository, stanza, backup.packs, damage);
    if (!backup.has_manifest || !damaged.are_possible()) {
        return;
    }
    try {
        repository::ManifestReader reader(repository, stanza, backup.result.label);
        for (repository::ManifestFile file; reader.next(file);) {
            std::vector<PageRange> pages = find_damage(repository, damaged, file);
            if (pages.empty()) {
                continue;
            }
            --backup.result.valid_files;
            backup.result.is_restorable = false;
            backup.result.state = BackupState::invalid;
            if (backup.result.lost.size() < VerifiedBackup::kMostNamed) {
                backup.result.lost.push_back({std::move(file.path), std::move(pages)});
            }
        }
    } catch (const Error& error) {
        rethrow_unless_of_object(repository, error); // the manifest's own fault was found before
    }
}

void subtract_own_wal(const repository::Repository& repository,
                      const std::string& stanza,
                      std::uint32_t wal_segment_size,
                      InspectedBackup& backup)
{
    try {
        backup.result.missing_wal = without_own_wal(
            repository, stanza, wal_segment_size, backup.result.label, backup.result.missing_wal);
    } catch (const Error& error) {
        rethrow_unless_of_object(repository, error);
    }
}

std::vector<VerifyFault> verify_identity(const repository::Repository& repository)
{
    return faults_of(repository::inspect_documents(repository.storage(), is_fault_in(repository)));
}

std::vector<VerifyFault> verify_cluster(const repository::Repository& repository,
                                        const std::string& stanza,
                                        repository::ArchiveId id)
{
    return faults_of(repository::inspect_cluster(repository, stanza, id, is_fault_in(repository)));
}

std::vector<VerifyFault> verify_history(const repository::Repository& repository,
                                        const std::string& stanza)
{
    std::vector<std::string> paths;
    repository.storage().list(
        repository::history_path(stanza), [&](const storage::EntryInfo& entry) {
            if (const auto label = repository::parse_history_name(entry.name)) {
                paths.push_back(repository::history_path(stanza, *label));
            }
        });
    repository.storage().list(repository::verify_path(stanza),
                              [&](const storage::EntryInfo& entry) {
                                  if (const auto number = repository::parse_note_name(entry.name)) {
                                      paths.push_back(repository::verify_path(stanza, *number));
                                  }
                              });
    std::vector<VerifyFault> faults;
    for (const std::string& path : paths) {
        try {
            repository.read_document(path);
        } catch (const Error& error) {
            rethrow_unless_of_object(repository, error);
            if (error.code() != ErrorCode::file_missing) { // its time was up meanwhile
                faults.push_back({kind_of(error.code()), path, problem_of(error)});
            }
        }
    }
    return faults;
}

} // namespace pgstrata::engine
