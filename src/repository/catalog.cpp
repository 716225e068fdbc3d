// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/catalog.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/notes.hpp"
#include "pgstrata/repository/object_error.hpp"
#include "pgstrata/util/parallel.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <set>

namespace pgstrata::repository {

namespace {

postgres::Lsn
lsn_member(const nlohmann::json& document, const char* member, const std::string& path)
{
    const auto lsn = postgres::parse_lsn(document_text(document, member, path));
    if (!lsn) {
        raise(ErrorCode::format, "'{}' in the repository has an invalid '{}'", path, member);
    }
    return *lsn;
}

std::uint32_t
small_number(const nlohmann::json& document, const char* member, const std::string& path)
{
    const std::uint64_t value = document_number(document, member, path);
    if (value > std::numeric_limits<std::uint32_t>::max()) {
        raise(ErrorCode::format, "'{}' in the repository has an impossible '{}'", path, member);
    }
    return static_cast<std::uint32_t>(value);
}

ArchiveId archive_id_member(const nlohmann::json& document, const std::string& path)
{
    const auto id = parse_archive_id(document_text(document, "archive-id", path));
    if (!id) {
        raise(ErrorCode::format, "'{}' in the repository has an invalid 'archive-id'", path);
    }
    return *id;
}

BackupType type_member(const nlohmann::json& document, const std::string& path)
{
    const std::string text = document_text(document, "type", path);
    for (const BackupType type : {BackupType::full, BackupType::diff, BackupType::incr}) {
        if (text == to_string(type)) {
            return type;
        }
    }
    raise(ErrorCode::format, "'{}' in the repository has an unknown 'type'", path);
}

std::vector<std::string>
texts_member(const nlohmann::json& document, const char* member, const std::string& path)
{
    const auto found = document.find(member);
    std::vector<std::string> texts;
    if (found == document.end() || !found->is_array()) {
        raise(ErrorCode::format, "'{}' in the repository has no list '{}'", path, member);
    }
    for (const nlohmann::json& item : *found) {
        texts.push_back(item.is_string() ? item.get<std::string>() : item.dump());
    }
    return texts;
}

// Summaries that are asked for at once: what takes long is the way to an object store.
constexpr std::size_t kReaders = 8;
constexpr std::size_t kEach = 8; // without which a further thread is not worth it

struct ReadSummary {
    std::optional<BackupSummary> summary;
    std::optional<Error> failure;
};

bool is_empty(const Repository& repository, std::string_view stanza, ArchiveId id)
{
    bool is_empty = true;
    repository.storage().list(archive_path(stanza, id),
                              [&](const storage::EntryInfo&) { is_empty = false; });
    return is_empty;
}

// Takes a description from the bytes of either place; both are sealed as what lies at `path`.
TextReader
reader_of(const Repository& repository, const std::string& path, nlohmann::json& document)
{
    return [&repository, path, &document](std::string_view text, const std::string& /*place*/) {
        try {
            document = repository.open_document(as_bytes(text), path);
        } catch (const Error& error) {
            if (!is_damage(error.code())) {
                throw;
            }
            throw Error(ErrorCode::checksum, error.what());
        }
    };
}

nlohmann::json to_json(const BackupSummary& summary)
{
    nlohmann::json document = {
        {"format", kRepositoryFormat},
        {"label", summary.label},
        {"type", to_string(summary.type)},
        {"prior", summary.prior},
        {"reference", summary.references},
        {"version", summary.program_version},
        {"archive-id", to_string(summary.archive_id)},
        {"system-id", summary.system_identifier},
        {"online", summary.is_online},
        {"timestamp-start", static_cast<std::uint64_t>(summary.start_time)},
        {"timestamp-stop", static_cast<std::uint64_t>(summary.stop_time)},
        {"timeline", summary.timeline},
        {"lsn-start", postgres::to_string(summary.start_lsn)},
        {"lsn-stop", postgres::to_string(summary.stop_lsn)},
        {"wal-start", summary.start_wal},
        {"wal-stop", summary.stop_wal},
        {"size", summary.size},
        {"delta", summary.delta},
        {"read", summary.read},
        {"change-tracking", summary.change_tracking},
        {"repository-size", summary.repository_size},
        {"repository-delta", summary.repository_delta},
        {"manifest-size", summary.manifest_size},
        {"files", summary.files},
        {"damaged-files", summary.damaged_files},
        {"host", summary.host},
        {"annotation", summary.annotations},
    };
    if (!summary.schedule.empty()) {
        document["schedule"] = summary.schedule;
    }
    if (summary.retain != 0) {
        document["retain"] = summary.retain;
    }
    return document;
}

BackupSummary summary_of(const nlohmann::json& document, const std::string& path)
{
    check_document_format(document, path);
    const auto online = document.find("online");
    BackupSummary summary;
    summary.label = document_text(document, "label", path);
    summary.type = type_member(document, path);
    summary.prior = document_text(document, "prior", path);
    summary.references = texts_member(document, "reference", path);
    summary.program_version = document_text(document, "version", path);
    summary.archive_id = archive_id_member(document, path);
    summary.system_identifier = document_number(document, "system-id", path);
    summary.is_online = online == document.end() || !online->is_boolean() || online->get<bool>();
    summary.start_time =
        static_cast<UnixSeconds>(document_number(document, "timestamp-start", path));
    summary.stop_time = static_cast<UnixSeconds>(document_number(document, "timestamp-stop", path));
    summary.timeline = small_number(document, "timeline", path);
    summary.start_lsn = lsn_member(document, "lsn-start", path);
    summary.stop_lsn = lsn_member(document, "lsn-stop", path);
    summary.start_wal = document_text(document, "wal-start", path);
    summary.stop_wal = document_text(document, "wal-stop", path);
    summary.size = document_number(document, "size", path);
    summary.delta = document_number(document, "delta", path);
    summary.read = document_number(document, "read", path);
    summary.change_tracking = document_text(document, "change-tracking", path);
    summary.repository_size = document_number(document, "repository-size", path);
    summary.repository_delta = document_number(document, "repository-delta", path);
    summary.manifest_size = document_number(document, "manifest-size", path);
    summary.files = document_number(document, "files", path);
    summary.damaged_files = texts_member(document, "damaged-files", path);
    summary.host = document_text(document, "host", path);
    summary.annotations = document_texts(document, "annotation", path);
    if (document.contains("schedule")) {
        summary.schedule = document_text(document, "schedule", path);
    }
    if (document.contains("retain")) {
        summary.retain = document_number(document, "retain", path);
    }
    return summary;
}

} // namespace

Cluster make_cluster(const postgres::ControlFile& control, unsigned number)
{
    return {
        {control.major, number},
        control.system_identifier,
        control.control_version,
        control.catalog_version,
        control.page_size,
        control.wal_segment_size,
    };
}

void write_cluster(const Repository& repository, std::string_view stanza, const Cluster& cluster)
{
    repository.write_document(cluster_path(stanza, cluster.id),
                              {
                                  {"format", kRepositoryFormat},
                                  {"archive-id", to_string(cluster.id)},
                                  {"system-id", cluster.system_identifier},
                                  {"control-version", cluster.control_version},
                                  {"catalog-version", cluster.catalog_version},
                                  {"page-size", cluster.page_size},
                                  {"wal-segment-size", cluster.wal_segment_size},
                              });
    mend_cluster(repository, stanza, cluster.id);
}

void mend_cluster(const Repository& repository, std::string_view stanza, ArchiveId id)
{
    const std::string path = cluster_path(stanza, id);
    nlohmann::json document;
    mend_twin(repository.storage(), path, reader_of(repository, path, document));
}

void make_missing_copy(const Repository& repository, std::string_view stanza, ArchiveId id)
{
    if (!repository.storage().info(copy_path(cluster_path(stanza, id)))) {
        mend_cluster(repository, stanza, id);
    }
}

std::vector<TwinFault> inspect_cluster(const Repository& repository,
                                       std::string_view stanza,
                                       ArchiveId id,
                                       const ErrorJudge& is_of_object)
{
    const std::string path = cluster_path(stanza, id);
    nlohmann::json document;
    return inspect_twin(
        repository.storage(), path, reader_of(repository, path, document), is_of_object);
}

std::vector<std::string> cluster_paths(std::string_view stanza, ArchiveId id)
{
    const std::string path = cluster_path(stanza, id);
    return {copy_path(path), path};
}

std::vector<ArchiveId> list_archive_ids(const Repository& repository, std::string_view stanza)
{
    std::vector<ArchiveId> ids;
    repository.storage().list(archive_path(stanza), [&](const storage::EntryInfo& entry) {
        if (const auto id = parse_archive_id(entry.name)) {
            ids.push_back(*id);
        }
    });
    std::ranges::sort(ids, {}, &ArchiveId::number);
    return ids;
}

std::optional<Cluster>
read_cluster(const Repository& repository, std::string_view stanza, ArchiveId id)
{
    const std::string path = cluster_path(stanza, id);
    nlohmann::json document;
    if (!read_twin(repository.storage(), path, reader_of(repository, path, document))) {
        // A stanza-create that was cut off leaves an empty directory. WAL without the
        // description of its cluster is damage: taken for an empty archive it would end a
        // recovery early.
        if (is_empty(repository, stanza, id)) {
            return std::nullopt;
        }
        throw Error(ErrorCode::file_missing,
                    fmt::format("'{}' in '{}' is missing", path, repository.storage().location()),
                    "bring it back from a copy of the repository");
    }
    Cluster cluster;
    cluster.id = archive_id_member(document, path);
    cluster.system_identifier = document_number(document, "system-id", path);
    cluster.control_version = small_number(document, "control-version", path);
    cluster.catalog_version = small_number(document, "catalog-version", path);
    cluster.page_size = small_number(document, "page-size", path);
    cluster.wal_segment_size = small_number(document, "wal-segment-size", path);
    if (cluster.id != id || !postgres::is_wal_segment_size(cluster.wal_segment_size)) {
        raise(ErrorCode::format,
              "'{}' in the repository does not describe '{}'",
              path,
              to_string(id));
    }
    return cluster;
}

std::vector<Cluster> list_clusters(const Repository& repository, std::string_view stanza)
{
    std::vector<Cluster> clusters;
    for (const ArchiveId id : list_archive_ids(repository, stanza)) {
        if (auto cluster = read_cluster(repository, stanza, id)) {
            clusters.push_back(*cluster);
        }
    }
    return clusters;
}

void write_summary(const Repository& repository,
                   std::string_view stanza,
                   const BackupSummary& summary)
{
    repository.write_document(summary_path(stanza, summary.label), to_json(summary));
}

std::optional<BackupSummary>
read_summary(const Repository& repository, std::string_view stanza, std::string_view label)
{
    const std::string path = summary_path(stanza, label);
    try {
        BackupSummary summary = summary_of(repository.read_document(path), path);
        if (summary.label != label) {
            raise(ErrorCode::format,
                  "'{}' in the repository belongs to the backup '{}'",
                  path,
                  summary.label);
        }
        for (const BackupNote& note : read_notes(repository, stanza, label)) {
            apply_note(note, summary);
        }
        return summary;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_missing) {
            return std::nullopt;
        }
        throw;
    }
}

void write_history(const Repository& repository,
                   std::string_view stanza,
                   const BackupSummary& summary)
{
    try {
        repository.write_document(history_path(stanza, summary.label), to_json(summary));
    } catch (const Error& error) {
        if (error.code() != ErrorCode::file_exists) {
            throw;
        }
    }
}

std::optional<BackupSummary>
read_history(const Repository& repository, std::string_view stanza, std::string_view label)
{
    const std::string path = history_path(stanza, label);
    try {
        return summary_of(repository.read_document(path), path);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_missing) {
            return std::nullopt;
        }
        throw;
    }
}

std::vector<std::string> list_history(const Repository& repository, std::string_view stanza)
{
    std::vector<std::string> labels;
    repository.storage().list(history_path(stanza), [&](const storage::EntryInfo& entry) {
        if (auto label = parse_history_name(entry.name)) {
            labels.push_back(std::move(*label));
        }
    });
    return labels;
}

std::vector<std::string> list_labels(const Repository& repository, std::string_view stanza)
{
    std::vector<std::string> labels;
    repository.storage().list(backup_path(stanza), [&](const storage::EntryInfo& entry) {
        if (parse_backup_label(entry.name)) {
            labels.push_back(entry.name);
        }
    });
    return labels;
}

void warn_of_unreadable_backup(const std::string& label, const Error& error)
{
    log::warn("backup {} is passed over: {}", label, error.what());
}

std::vector<BackupSummary> list_backups(const Repository& repository,
                                        std::string_view stanza,
                                        const UnreadableBackup& unreadable)
{
    return read_backups(repository, stanza, unreadable).backups;
}

BackupCatalog read_backups(const Repository& repository,
                           std::string_view stanza,
                           const UnreadableBackup& unreadable)
{
    const std::vector<std::string> labels = list_labels(repository, stanza);
    std::vector<ReadSummary> read(labels.size());
    parallel_for_each(
        std::min(kReaders, 1 + labels.size() / kEach), labels.size(), [&](std::size_t i) {
            try {
                read[i].summary = read_summary(repository, stanza, labels[i]);
            } catch (const Error& error) {
                if (!unreadable) {
                    throw;
                }
                read[i].failure = error;
            }
        });
    BackupCatalog catalog;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (read[i].failure) {
            unreadable(labels[i], *read[i].failure);
        } else if (read[i].summary) {
            catalog.backups.push_back(std::move(*read[i].summary));
        } else {
            catalog.incomplete.push_back(labels[i]);
        }
    }
    return catalog;
}

std::vector<std::string> list_stanzas(const storage::Storage& storage)
{
    std::set<std::string> names;
    for (const std::string_view directory : {kArchiveDirectory, kBackupDirectory}) {
        storage.list(directory, [&](const storage::EntryInfo& entry) {
            if (entry.type == storage::EntryType::directory && is_valid_stanza_name(entry.name)) {
                names.insert(entry.name);
            }
        });
    }
    return {names.begin(), names.end()};
}

} // namespace pgstrata::repository
