// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/verify.hpp"

#include "engine/verify_archive.hpp"
#include "engine/verify_backup.hpp"
#include "engine/verify_coverage.hpp"
#include "engine/verify_packs.hpp"
#include "engine/verify_unreadable.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/process.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <iterator>
#include <map>
#include <set>

namespace pgstrata::engine {

using repository::ArchiveId;
using repository::Cluster;
using repository::DamagedPlace;
using repository::PackInfo;
using repository::PackName;
using repository::VerifyDepth;

namespace {

constexpr double kHashes = 18446744073709551616.0; // 2^64

HashShare choose_share(const VerifyOptions& options,
                       const std::vector<repository::VerifyRecord>& records)
{
    HashShare share;
    share.from = repository::next_share(records, options.depth);
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
        report_.depth = options.depth;
        record_.start = now_seconds();
    }

    VerifyReport run()
    {
        const auto records = repository::read_verify_records(repository_, options_.stanza);
        share_ = choose_share(options_, records);
        // In this order: the WAL of a backup is there before it is complete.
        inspect_backups();
        known_ = repository::known_damage(records, labels_);
        if (!is_set() || is_quick()) {
            known_wal_ = repository::known_damaged_wal(records);
        }
        list_archives();
        refuse_unknown();
        std::ranges::move(verify_identity(repository_), std::back_inserter(report_.faults));
        std::ranges::move(verify_history(repository_, options_.stanza),
                          std::back_inserter(report_.faults));
        collect_claims();
        read_everything();
        list_again();
        drop_removed_backups();
        repository::Damage damage = all_damage();
        judge_packs(is_set() ? damage_ : damage, kinds_);
        judge_unreadable();
        add_damage(unreadable_, damage);
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
    bool is_quick() const noexcept { return options_.depth == VerifyDepth::quick; }

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
                std::ranges::move(verify_cluster(repository_, options_.stanza, id),
                                  std::back_inserter(report_.faults));
                archives_.push_back({*cluster,
                                     list_archive(repository_, options_.stanza, id),
                                     report_.archives.size()});
            } catch (const Error& error) {
                rethrow_unless_of_object(repository_, error);
                result.faults.push_back({kind_of(error.code()),
                                         repository::cluster_path(options_.stanza, id),
                                         problem_of(error)});
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
        if (is_set() && (backups_.empty() || backups_.front().is_dead)) {
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
                  problem_of(error));
    }

    void collect_claims()
    {
        collector_.emplace(
            repository_, options_, options_.depth, collect_packs(options_.stanza, backups_));
        gather(*collector_);
    }

    void gather(ClaimCollector& collector)
    {
        for (InspectedBackup& backup : backups_) {
            if (!backup.has_manifest) {
                continue;
            }
            try {
                repository::ManifestReader reader(
                    repository_, options_.stanza, backup.result.label);
                backup.result.files = collector.add(reader, backup.result.label);
                backup.result.valid_files = backup.result.files;
            } catch (const Error& error) {
                rethrow_unless_of_object(repository_, error);
                fail(backup, error);
                backup.has_manifest = false;
            }
        }
        add_damage(collector.damage(), damage_);
        add_damage(collector.unreadable(), unreadable_);
        are_claims_known_ = are_claims_known_ && collector.unreadable().is_empty();
    }

    void read_everything()
    {
        PackVerification packs(repository_, options_, share_, collector_->claims());
        std::uint64_t total = packs.choose();
        std::set<std::string> needed;
        for (const Archive& archive : archives_) {
            needed.merge(needed_segments(archive.cluster, archive.listing, backups_));
        }
        BytesRead bytes_read;
        std::deque<ArchiveVerification> archives;
        for (Archive& archive : archives_) {
            archives.emplace_back(ArchiveReading{repository_,
                                                 options_,
                                                 archive.cluster,
                                                 share_,
                                                 is_set() ? &needed : nullptr,
                                                 known_wal_,
                                                 [&](std::uint64_t bytes) { bytes_read(bytes); }},
                                  archive.listing,
                                  report_.archives[archive.result]);
            total += archives.back().bytes();
        }
        Progress progress(total, report_progress_);
        bytes_read = [&](std::uint64_t bytes) { progress.add(bytes); };
        run_workers(options_.workers, [&](std::size_t, const std::stop_token& token) {
            packs.work(token, bytes_read);
            for (ArchiveVerification& archive : archives) {
                archive.work(token);
            }
        });
        if (packs.is_any_unsound()) {
            look_closer(packs);
        }
        for (ArchiveVerification& archive : archives) {
            archive.finish();
        }
        take_results(packs);
        report_.bytes = progress.done();
    }

    void look_closer(PackVerification& packs)
    {
        ClaimCollector closer(repository_, options_, VerifyDepth::full, collector_->claims().packs);
        gather(closer);
        packs.look_closer(closer.claims());
    }

    void take_results(PackVerification& packs)
    {
        add_damage(packs.damage(), damage_);
        add_damage(packs.unreadable(), unreadable_);
        kinds_ = packs.kinds();
        record_.pack_bytes = packs.bytes();
        if (!is_set() && !is_quick() && are_claims_known()) {
            record_.packs = packs.read();
        }
        for (const Archive& archive : archives_) {
            record_.segments += report_.archives[archive.result].checked;
            record_.wal.insert(archive.listing.damaged.begin(), archive.listing.damaged.end());
        }
    }

    // A manifest or page map that cannot be read leaves unsaid what must be in packs.
    bool are_claims_known() const
    {
        return are_claims_known_ && std::ranges::all_of(backups_, [](const auto& backup) {
                   return backup.has_manifest || !has_unreadable(backup.result.faults);
               });
    }

    static bool has_unreadable(const std::vector<VerifyFault>& faults)
    {
        return std::ranges::find(faults, FaultKind::unreadable, &VerifyFault::kind) != faults.end();
    }

    static void add_damage(const repository::Damage& damage, repository::Damage& to)
    {
        for (const auto& [pack, places] : damage.places()) {
            for (const DamagedPlace& place : places) {
                to.add(place);
            }
        }
    }

    // What of the packs is still needed.
    static repository::Damage keep_needed(const repository::Damage& damage,
                                          const std::set<PackName>& needed)
    {
        repository::Damage left;
        for (const auto& [pack, places] : damage.places()) {
            for (const DamagedPlace& place : places) {
                if (needed.contains(pack)) {
                    left.add(place);
                }
            }
        }
        return left;
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
        damage_ = keep_needed(damage_, needed);
        unreadable_ = keep_needed(unreadable_, needed);
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

    // With what earlier runs found in packs that this one has not read, or only quickly. Of a set
    // only what it loses by that counts.
    repository::Damage all_damage() const
    {
        repository::Damage all = damage_;
        const std::set<PackName> needed = needed_packs();
        for (const auto& [pack, places] : known_.places()) {
            const bool is_refuted = is_quick() ? false : is_set() || record_.packs.contains(pack);
            if (is_refuted || !needed.contains(pack)) {
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
    void judge_packs(const repository::Damage& damage, const std::map<PackName, FaultKind>& kinds)
    {
        for (const auto& [pack, places] : damage.places()) {
            const auto owner = std::ranges::find(
                backups_, pack.label, [](const InspectedBackup& backup) -> const std::string& {
                    return backup.result.label;
                });
            const auto kind = kinds.find(pack);
            for (const DamagedPlace& place : places) {
                VerifyFault fault{kind == kinds.end() ? FaultKind::checksum : kind->second,
                                  repository::pack_path(options_.stanza, pack.label, pack.number),
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

    void judge_unreadable()
    {
        std::map<PackName, FaultKind> kinds;
        for (const auto& [pack, places] : unreadable_.places()) {
            kinds.emplace(pack, FaultKind::unreadable);
        }
        judge_packs(unreadable_, kinds);
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
        record_.depth = options_.depth;
        record_.findings = report_.findings();
        record_.damage = std::move(damage_);
        if (is_quick()) {
            forget_known();
        }
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

    // What records say already: quick runs take none of them out of use, so they would be many.
    void forget_known()
    {
        repository::Damage found;
        for (const auto& [pack, places] : record_.damage.places()) {
            for (const DamagedPlace& place : places) {
                if (!known_.covers(place)) {
                    found.add(place);
                }
            }
        }
        record_.damage = std::move(found);
        std::erase_if(record_.wal, [&](const auto& one) { return known_wal_.contains(one.first); });
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
    repository::Damage damage_;
    repository::Damage unreadable_; // which no record says
    bool are_claims_known_ = true;
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
