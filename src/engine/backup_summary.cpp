// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_summary.hpp"

namespace pgstrata::engine {

repository::BackupSummary summarize(const repository::Manifest& manifest)
{
    const repository::ManifestHeader& head = manifest.header;
    repository::BackupSummary summary;
    summary.label = head.label;
    summary.type = head.type;
    summary.prior = head.prior;
    summary.references = repository::references_of(manifest);
    summary.program_version = head.program_version;
    summary.archive_id = head.archive_id;
    summary.system_identifier = head.system_identifier;
    summary.is_online = head.is_online;
    summary.start_time = head.start_time;
    summary.stop_time = head.stop_time;
    summary.timeline = head.timeline;
    summary.start_lsn = head.start_lsn;
    summary.stop_lsn = head.stop_lsn;
    summary.start_wal = head.start_wal;
    summary.stop_wal = head.stop_wal;
    summary.files = manifest.files.size();
    for (const repository::ManifestFile& file : manifest.files) {
        summary.size += file.size;
        if (file.is_damaged) {
            summary.damaged_files.push_back(file.path);
        }
    }
    for (const repository::PackInfo& pack : manifest.packs) {
        summary.repository_size += pack.size;
        if (pack.name.label == head.label) {
            summary.repository_delta += pack.size;
        }
    }
    return summary;
}

} // namespace pgstrata::engine
