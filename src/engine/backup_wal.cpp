// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_wal.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_archive.hpp"

namespace pgstrata::engine {

BackupWal::BackupWal(const repository::Repository& repository,
                     WalWait wait,
                     std::string data_directory,
                     postgres::Session& source,
                     postgres::Session* primary)
    : repository_(repository), wait_(std::move(wait)), data_directory_(std::move(data_directory)),
      source_(source), primary_(primary)
{
}

std::string BackupWal::name_of(postgres::WalSegment segment) const
{
    return postgres::to_string(segment, wait_.wal_segment_size);
}

bool BackupWal::is_archived(postgres::WalSegment segment) const
{
    return !repository::find_wal(repository_, wait_.stanza, wait_.archive_id, name_of(segment))
                .empty();
}

// The server archives in order, so that the last segment tells of all. What a standby receives may
// not be whole yet.
void BackupWal::wait_for(postgres::WalSegment first, postgres::WalSegment last)
{
    const auto archived = wait_for_wal(repository_, wait_, first, last, primary_);
    if (primary_ == &source_) {
        check_own_wal(wait_, data_directory_, archived);
    }
}

void BackupWal::remember_current()
{
    if (primary_ != nullptr) {
        current_ = postgres::segment_of(
            primary_->timeline(), primary_->current_lsn(), wait_.wal_segment_size);
    }
}

void BackupWal::begin_probe(postgres::WalSegment first)
{
    if (primary_ == nullptr) {
        return;
    }
    probe_ = current_;
    // A standby's backup starts where it has come to, and finishes no segment.
    if (primary_ != &source_ || current_ >= first) {
        primary_->create_restore_point("pgstrata archive check");
        const auto name =
            postgres::parse_wal_segment(primary_->switch_wal(), wait_.wal_segment_size);
        probe_ = name ? *name : first;
    }
}

void BackupWal::wait_for_probe()
{
    if (probe_) {
        log::info("check archive for segment {}", name_of(*probe_));
        wait_for(*probe_, *probe_);
    }
}

std::vector<postgres::WalSegment> BackupWal::wait_for_all(postgres::WalSegment first,
                                                          postgres::WalSegment last)
{
    log::info("check archive for segment(s) {}:{}", name_of(first), name_of(last));
    if (primary_ != nullptr) {
        if (primary_ != &source_ && !is_archived(last)) {
            primary_->create_restore_point("pgstrata end of a standby's backup");
            primary_->switch_wal();
        }
        wait_for(first, last);
        return {};
    }
    std::vector<postgres::WalSegment> missing;
    for (postgres::WalSegment segment = first; segment <= last; ++segment.number) {
        if (!is_archived(segment)) {
            missing.push_back(segment);
        }
    }
    return missing;
}

} // namespace pgstrata::engine
