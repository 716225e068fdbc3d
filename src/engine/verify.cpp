// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/verify.hpp"

#include "engine/verify_archive.hpp"
#include "engine/verify_backup.hpp"
#include "engine/verify_coverage.hpp"
#include "engine/verify_pack.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/process.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <mutex>
#include <set>

namespace pgstrata::engine {

using repository::ArchiveId;
using repository::Cluster;
using repository::DamagedPlace;
using repository::PackInfo;
using repository::PackName;

namespace {

constexpr double kHashes = 18446744073709551616.0; // 2^64

HashShare choose_share(const VerifyOptions& options,
                       const std::vector<repository::VerifyRecord>& records)
{
    HashShare share;
    share.from = repository::next_share(records);
    share.to = share.from;
    if (options.sample && options.label.empty() && *options.sample < 100) {
        share.to += std::max<std::uint64_t>(
            1, static_cast<std::uint64_t>(std::floor(kHashes * *options.sample / 100)));
    }
    return share;
}

// One run, from the listing to the record.
class VerifyRun : NonCopyable {
public:
    VerifyRun(const VerifyOptions& options,
              const repository::Repository& repository,
              const Progress::Report& progress)
        : options_(options), repository_(repository), report_progress_(progress)
    {
        report_.stanza = options.stanza;
        record_.start = now_seconds();
    }

    VerifyReport run()
    {
        const auto records = repository::read_verify_records(repository_, options_.stanza);
        share_ = choose_share(options_, records);
        // In this order: the WAL of a backup is there before it is complete.
        inspect_backups();
        known_ = repository::known_damage(records, labels_);
        if (!is_set()) {
            known_wal_ = repository::known_damaged_wal(records);
        }
        list_archives();
        refuse_unknown();
        report_.faults = verify_keys(repository_);
        std::ranges::move(verify_history(repository_, options_.stanza),
                          std::back_inserter(report_.faults));
        collect_claims();
        read_everything();
        list_again();
        drop_removed_backups();
        const repository::Damage damage = all_damage();
        judge_packs(damage);
        for (InspectedBackup& backup : backups_) {
            find_lost_files(repository_, options_.stanza, damage, backup);
        }
        cover_archives();
        for (InspectedBackup& backup : backups_) {
            report_.backups.push_back(std::move(backup.result));
        }
        leave_record();
        return std::move(report_);
    }

private:
    struct Archive {
        Cluster cluster;
        ArchiveListing listing;
        std::size_t result = 0; // position in VerifyReport::archives
    };

    bool is_set() const noexcept { return !options_.label.empty(); }

    void list_archives()
    {
        for (const ArchiveId id : repository::list_archive_ids(repository_, options_.stanza)) {
            VerifiedArchive result;
            result.id = id;
            try {
                auto cluster = repository::read_cluster(repository_, options_.stanza, id);
                if (!cluster) {
                    continue;
                }
                archives_.push_back({*cluster,
                                     list_archive(repository_, options_.stanza, id),
                                     report_.archives.size()});
            } catch (const Error& error) {
                if (!is_of_object(error.code())) {
                    throw;
                }
                result.faults.push_back({kind_of(error.code()),
                                         repository::cluster_path(options_.stanza, id),
                                         error.what()});
            }
            report_.archives.push_back(std::move(result));
        }
    }

    void inspect_backups()
    {
        labels_ = repository::list_labels(repository_, options_.stanza);
        for (const std::string& label : labels_) {
            check_cancelled();
            if (!is_set() || label == options_.label) {
                if (auto backup = inspect_backup(repository_, options_.stanza, label)) {
                    backups_.push_back(std::move(*backup));
                }
            }
        }
    }

    void refuse_unknown() const
    {
        if (labels_.empty() && report_.archives.empty()) {
            throw Error(ErrorCode::file_missing,
                        fmt::format("stanza '{}' is not in the repository", options_.stanza),
                        "has stanza-create been run?");
        }
        if (is_set() && std::ranges::find(labels_, options_.label) == labels_.end()) {
            throw Error(ErrorCode::backup_set_invalid,
                        fmt::format("there is no backup '{}' to verify", options_.label),
                        "'pgstrata info' lists the backups");
        }
    }

    void fail(InspectedBackup& backup, const Error& error) const
    {
        add_fault(backup,
                  kind_of(error.code()),
                  repository::manifest_path(options_.stanza, backup.result.label),
                  error.what());
    }

    void collect_claims()
    {
        collector_.emplace(repository_,
                           options_.stanza,
                           collect_packs(options_.stanza, backups_),
                           options_.workers);
        for (InspectedBackup& backup : backups_) {
            if (!backup.has_manifest) {
                continue;
            }
            try {
                repository::ManifestReader reader(
                    repository_, options_.stanza, backup.result.label);
                backup.result.files = collector_->add(reader, backup.result.label);
                backup.result.valid_files = backup.result.files;
            } catch (const Error& error) {
                if (!is_of_object(error.code())) {
                    throw;
                }
                fail(backup, error);
                backup.has_manifest = false;
            }
        }
        damage_ = std::move(collector_->damage());
    }

    std::string path_of(const PackName& pack) const
    {
        return repository::pack_path(options_.stanza, pack.label, pack.number);
    }

    void lose_pack(const PackName& pack, FaultKind kind, std::string problem)
    {
        const std::lock_guard lock(damage_mutex_);
        kinds_[pack] = kind;
        DamagedPlace place{.pack = pack};
        place.problem = std::move(problem);
        damage_.add(std::move(place));
    }

    // Positions of the packs to read.
    std::vector<std::uint32_t> choose_packs()
    {
        const std::vector<PackInfo>& packs = collector_->claims().packs;
        const auto there = list_packs(repository_, options_.stanza, packs);
        std::vector<std::uint32_t> chosen;
        for (std::uint32_t i = 0; i < packs.size(); ++i) {
            const auto found = there.find(packs[i].name);
            const std::string path = path_of(packs[i].name);
            if (found == there.end()) {
                lose_pack(packs[i].name,
                          FaultKind::missing,
                          fmt::format("'{}' is missing in the repository", path));
            } else if (found->second != packs[i].size) {
                lose_pack(packs[i].name,
                          FaultKind::size,
                          fmt::format("'{}' in the repository has {} bytes instead of {}",
                                      path,
                                      found->second,
                                      packs[i].size));
            } else if (share_.has(path)) {
                chosen.push_back(i);
            }
        }
        return chosen;
    }

    void read_everything()
    {
        const std::vector<std::uint32_t> chosen = choose_packs();
        std::uint64_t total = 0;
        for (const std::uint32_t pack : chosen) {
            total += collector_->claims().packs[pack].size;
        }
        std::set<std::string> needed;
        for (const Archive& archive : archives_) {
            needed.merge(needed_segments(archive.cluster, archive.listing, backups_));
        }
        BytesRead bytes_read;
        std::vector<ArchiveReading> readings;
        for (const Archive& archive : archives_) {
            readings.push_back({repository_,
                                options_,
                                archive.cluster,
                                share_,
                                is_set() ? &needed : nullptr,
                                known_wal_,
                                [&](std::uint64_t bytes) { bytes_read(bytes); }});
            for (const ArchivedFile& file : archive.listing.files) {
                total += readings.back().is_wanted(file) ? file.size : 0;
            }
        }
        Progress progress(total, report_progress_);
        bytes_read = [&](std::uint64_t bytes) { progress.add(bytes); };
        read_packs(chosen, bytes_read);
        for (std::size_t i = 0; i < archives_.size(); ++i) {
            VerifiedArchive& result = report_.archives[archives_[i].result];
            verify_archive(readings[i], archives_[i].listing, result);
            record_.segments += result.checked;
            record_.wal.insert(archives_[i].listing.damaged.begin(),
                               archives_[i].listing.damaged.end());
        }
        report_.bytes = progress.done();
    }

    void read_packs(const std::vector<std::uint32_t>& chosen, const BytesRead& bytes_read)
    {
        const VerifyClaims& claims = collector_->claims();
        const PackScope scope = is_set() ? PackScope::claimed : PackScope::all;
        std::atomic<std::size_t> next = 0;
        std::atomic<std::size_t> next_scattered = 0;
        run_workers(options_.workers, [&](std::size_t, const std::stop_token& token) {
            PackChecker checker(repository_, options_.stanza, claims, scope, bytes_read);
            for (std::size_t i = next++; i < chosen.size() && !token.stop_requested(); i = next++) {
                check_pack(checker, chosen[i]);
            }
            for (std::size_t i = next_scattered++;
                 i < claims.scattered.size() && !token.stop_requested();
                 i = next_scattered++) {
                check_cancelled();
                add_damage(checker.check_scattered(claims.scattered[i]));
            }
        });
    }

    void check_pack(PackChecker& checker, std::uint32_t pack)
    {
        const PackInfo& info = collector_->claims().packs[pack];
        try {
            add_damage(checker.check(pack));
        } catch (const Error& error) {
            // A sector that cannot be read is damage; a store that is away is none.
            if (!is_of_object(error.code())) {
                throw;
            }
            lose_pack(info.name, kind_of(error.code()), error.what());
        }
        const std::lock_guard lock(damage_mutex_);
        record_.pack_bytes += info.size;
        if (!is_set()) {
            record_.packs.insert(info.name);
        }
    }

    void add_damage(std::vector<DamagedPlace> places)
    {
        const std::lock_guard lock(damage_mutex_);
        for (DamagedPlace& place : places) {
            damage_.add(std::move(place));
        }
    }

    // What archive-push, backup and expire did meanwhile to the WAL.
    void list_again()
    {
        for (Archive& archive : archives_) {
            engine::list_again(repository_, options_.stanza, archive.cluster.id, archive.listing);
        }
        if (!is_set()) {
            newer_ = newer_summaries(repository_, options_.stanza, backups_);
        }
    }

    // What expire has removed since the beginning is no loss.
    void drop_removed_backups()
    {
        const auto is_gone = [&](const InspectedBackup& backup) {
            return is_removed(repository_, options_.stanza, backup);
        };
        if (std::erase_if(backups_, is_gone) == 0) {
            return;
        }
        const std::set<PackName> needed = needed_packs();
        repository::Damage left;
        for (const auto& [pack, places] : damage_.places()) {
            for (const DamagedPlace& place : places) {
                if (needed.contains(pack)) {
                    left.add(place);
                }
            }
        }
        damage_ = std::move(left);
    }

    std::set<PackName> needed_packs() const
    {
        std::set<PackName> needed;
        for (const InspectedBackup& backup : backups_) {
            for (const PackInfo& pack : backup.packs) {
                needed.insert(pack.name);
            }
        }
        return needed;
    }

    // With what earlier runs found in packs that this one has not read.
    repository::Damage all_damage() const
    {
        repository::Damage all = damage_;
        const std::set<PackName> needed = needed_packs();
        for (const auto& [pack, places] : known_.places()) {
            if (is_set() || record_.packs.contains(pack) || !needed.contains(pack)) {
                continue;
            }
            for (DamagedPlace place : places) {
                place.problem += known_since(place.since);
                all.add(std::move(place));
            }
        }
        return all;
    }

    // Damage becomes faults of the backup that the pack belongs to.
    void judge_packs(const repository::Damage& damage)
    {
        for (const auto& [pack, places] : damage.places()) {
            const auto owner = std::ranges::find(
                backups_, pack.label, [](const InspectedBackup& backup) -> const std::string& {
                    return backup.result.label;
                });
            const auto kind = kinds_.find(pack);
            for (const DamagedPlace& place : places) {
                VerifyFault fault{kind == kinds_.end() ? FaultKind::checksum : kind->second,
                                  path_of(pack),
                                  place.problem};
                if (owner == backups_.end()) {
                    report_.faults.push_back(std::move(fault));
                } else {
                    owner->result.state = owner->result.state == BackupState::valid
                                              ? BackupState::invalid
                                              : owner->result.state;
                    owner->result.faults.push_back(std::move(fault));
                }
            }
        }
    }

    void cover_archives()
    {
        std::set<ArchiveId> known;
        for (const Archive& archive : archives_) {
            known.insert(archive.cluster.id);
            cover_archive(
                repository_,
                options_,
                {archive.cluster, archive.listing, report_.archives[archive.result], newer_},
                backups_);
        }
        for (InspectedBackup& backup : backups_) {
            if (backup.summary && !known.contains(backup.summary->archive_id)) {
                backup.result.is_restorable = false;
                backup.result.state = BackupState::invalid;
            }
        }
    }

    void leave_record()
    {
        if (!options_.is_recorded) {
            return;
        }
        record_.stop = now_seconds();
        record_.host = host_name();
        record_.set = options_.label;
        record_.from = share_.from;
        record_.to = share_.to;
        record_.findings = report_.findings();
        record_.damage = std::move(damage_);
        try {
            repository::write_verify_record(repository_, options_.stanza, record_);
            repository::prune_verify_records(repository_,
                                             options_.stanza,
                                             repository::list_labels(repository_, options_.stanza));
        } catch (const Error& error) {
            if (error.code() == ErrorCode::terminated) {
                throw;
            }
            log::warn("what was verified could not be recorded in the repository: {}",
                      error.what());
        }
    }

    const VerifyOptions& options_;
    const repository::Repository& repository_;
    const Progress::Report& report_progress_;
    VerifyReport report_;
    repository::VerifyRecord record_;
    HashShare share_;
    repository::Damage known_; // from the records of earlier runs, as is the next
    std::map<std::string, repository::DamagedWal> known_wal_;
    std::vector<Archive> archives_;
    std::vector<std::string> labels_; // of all backups when it began
    std::vector<InspectedBackup> backups_;
    std::vector<repository::BackupSummary> newer_; // that ended since
    std::optional<ClaimCollector> collector_;
    std::mutex damage_mutex_; // guards the next two and the record while packs are read
    repository::Damage damage_;
    std::map<PackName, FaultKind> kinds_; // of packs that are lost as a whole
};

} // namespace

VerifyReport verify(const VerifyOptions& options,
                    const repository::Repository& repository,
                    const Progress::Report& report)
{
    return VerifyRun(options, repository, report).run();
}

} // namespace pgstrata::engine
