// SPDX-License-Identifier: PostgreSQL
#include "engine/expire_wal.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/hex.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

constexpr std::size_t kDirectoryDigits = 16;
// As many as an object store takes in one request.
constexpr std::size_t kBatch = 1000;

class WalRemoval {
public:
    WalRemoval(const ExpireOptions& options,
               const repository::Repository& repository,
               const repository::ArchivePlan& plan)
        : options_(options), repository_(repository), plan_(plan),
          archive_(repository::archive_path(options.stanza, plan.id))
    {
    }

    std::uint64_t run()
    {
        list_archive();
        for (const std::string& directory : directories_) {
            check_cancelled();
            if (!starts_before_limit(directory)) {
                break;
            }
            remove_from(directory);
        }
        end_range();
        flush();
        remove_history_files();
        remove_gaps();
        if (plan_.is_dropped) {
            drop();
        }
        return removed_;
    }

private:
    void list_archive()
    {
        storage().list(archive_, [&](const storage::EntryInfo& entry) {
            if (entry.name.size() == kDirectoryDigits && is_upper_hex(entry.name)) {
                directories_.push_back(entry.name);
                return;
            }
            const auto object = repository::parse_wal_object_name(entry.name);
            const auto name =
                object ? postgres::parse_wal_file_name(object->wal_name) : std::nullopt;
            const bool goes = name && name->kind == postgres::WalFileKind::history &&
                              !repository::is_history_kept(plan_, name->timeline) &&
                              is_old_enough(entry);
            if (goes) {
                history_.push_back(entry.name);
            }
        });
    }

    storage::Storage& storage() const { return repository_.storage(); }

    // All that lies behind the first directory that is kept whole is kept.
    bool starts_before_limit(const std::string& directory) const
    {
        const std::string first = directory + "00000000";
        return plan_.is_dropped ||
               (first < plan_.keep_from && (plan_.limit.empty() || first < plan_.limit));
    }

    bool is_old_enough(const storage::EntryInfo& entry) const
    {
        return !plan_.stored_since || entry.mtime < *plan_.stored_since;
    }

    void remove_from(const std::string& directory)
    {
        const std::string path = archive_ + "/" + directory;
        bool is_empty = true;
        storage().list(path, [&](const storage::EntryInfo& entry) {
            const auto object = repository::parse_wal_object_name(entry.name);
            const bool goes =
                object && object->wal_name.size() >= postgres::kSegmentDigits &&
                !repository::is_kept(plan_, object->wal_name.substr(0, postgres::kSegmentDigits)) &&
                is_old_enough(entry);
            if (goes) {
                extend_range(object->wal_name.substr(0, postgres::kSegmentDigits));
                objects_.push_back(path + "/" + entry.name);
                return;
            }
            is_empty = false;
            end_range();
        });
        if (is_empty) {
            emptied_.push_back(path);
        }
        if (objects_.size() >= kBatch) {
            flush();
        }
    }

    void extend_range(std::string segment)
    {
        if (range_.first.empty()) {
            range_.first = segment;
        }
        range_.last = std::move(segment);
    }

    void end_range()
    {
        if (!range_.first.empty()) {
            log::info("repo{}: {} remove archive, start = {}, stop = {}",
                      options_.repo_index,
                      repository::to_string(plan_.id),
                      range_.first,
                      range_.last);
        }
        range_ = {};
    }

    void flush()
    {
        remove(objects_);
        objects_.clear();
        if (!options_.is_dry_run) {
            for (const std::string& path : emptied_) {
                storage().remove_directory(path);
            }
        }
        emptied_.clear();
    }

    void remove(const std::vector<std::string>& paths)
    {
        removed_ += paths.size();
        if (!options_.is_dry_run && !paths.empty()) {
            storage().remove_all(paths);
        }
    }

    void remove_history_files()
    {
        std::vector<std::string> paths;
        for (const std::string& name : history_) {
            log::info("repo{}: {} remove history file {}",
                      options_.repo_index,
                      repository::to_string(plan_.id),
                      name);
            paths.push_back(archive_ + "/" + name);
        }
        remove(paths);
    }

    // What was dropped before the WAL that is kept is missed by nobody.
    void remove_gaps()
    {
        const std::string directory = repository::gap_path(options_.stanza, plan_.id);
        std::vector<std::string> paths;
        storage().list(directory, [&](const storage::EntryInfo& entry) {
            const auto dropped = repository::parse_gap_name(entry.name);
            const auto name = dropped ? postgres::parse_wal_file_name(*dropped) : std::nullopt;
            if (!name || !is_old_enough(entry)) {
                return;
            }
            const bool is_kept = name->kind == postgres::WalFileKind::history
                                     ? repository::is_history_kept(plan_, name->timeline)
                                     : repository::is_kept(plan_, name->segment);
            if (!is_kept) {
                paths.push_back(directory + "/" + entry.name);
            }
        });
        remove(paths);
        if (plan_.is_dropped && !options_.is_dry_run) {
            storage().remove_directory(directory);
        }
    }

    // The description of the cluster goes last: without it what is left would be refused.
    void drop()
    {
        const std::string cluster = repository::cluster_path(options_.stanza, plan_.id);
        bool is_alone = true;
        storage().list(archive_, [&](const storage::EntryInfo& entry) {
            is_alone = is_alone && cluster.ends_with("/" + entry.name);
        });
        if (!options_.is_dry_run && !is_alone) {
            return;
        }
        log::info("repo{}: remove archive path {}", options_.repo_index, archive_);
        if (!options_.is_dry_run) {
            for (const std::string& path : repository::cluster_paths(options_.stanza, plan_.id)) {
                storage().remove(path);
            }
            storage().remove_directory(archive_);
            storage().remove_directory(repository::copy_path(archive_));
        }
    }

    const ExpireOptions& options_;
    const repository::Repository& repository_;
    const repository::ArchivePlan& plan_;
    std::string archive_;
    std::vector<std::string> directories_;
    std::vector<std::string> history_;
    std::vector<std::string> objects_;
    std::vector<std::string> emptied_;
    repository::WalRange range_;
    std::uint64_t removed_ = 0;
};

} // namespace

bool has_wal_to_remove(const ExpireOptions& options,
                       const repository::Repository& repository,
                       const repository::ArchivePlan& plan)
{
    if (plan.hold != repository::WalHold::none) {
        return false;
    }
    bool is_any_gone = false;
    repository::list_segments(
        repository, options.stanza, plan.id, "", [&](const std::string& segment) {
            is_any_gone = !repository::is_kept(plan, segment);
            return !is_any_gone && segment < plan.keep_from;
        });
    return is_any_gone;
}

std::uint64_t remove_wal(const ExpireOptions& options,
                         const repository::Repository& repository,
                         const repository::ArchivePlan& plan)
{
    return plan.hold == repository::WalHold::none ? WalRemoval(options, repository, plan).run() : 0;
}

} // namespace pgstrata::engine
