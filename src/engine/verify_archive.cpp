// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_archive.hpp"

#include "engine/verify_unreadable.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/object_error.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/path.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <mutex>

namespace pgstrata::engine {

std::string path_of(const std::string& stanza, repository::ArchiveId id, const ArchivedFile& file)
{
    return fmt::format("{}/{}",
                       repository::wal_directory(stanza, id, file.name.wal_name),
                       repository::to_string(file.name));
}

namespace {

// Of two objects for one WAL file nobody can say which is right.
void find_duplicates(const std::string& stanza,
                     const ArchiveListing& listing,
                     VerifiedArchive& result)
{
    for (std::size_t i = 1; i < listing.files.size(); ++i) {
        const ArchivedFile& file = listing.files[i];
        if (file.name.wal_name == listing.files[i - 1].name.wal_name) {
            result.faults.push_back(
                {FaultKind::other,
                 path_of(stanza, result.id, file),
                 fmt::format("the archive has different files '{}'", file.name.wal_name)});
        }
    }
}

} // namespace

bool HashShare::has(std::string_view path) const noexcept
{
    return repository::is_in_share(from, to, path);
}

std::string known_since(UnixSeconds since)
{
    return fmt::format(" (known since {})", format_local_time(since));
}

FaultKind kind_of(ErrorCode code) noexcept
{
    switch (code) {
    case ErrorCode::file_missing:
        return FaultKind::missing;
    case ErrorCode::checksum:
    case ErrorCode::crypto:
        return FaultKind::checksum;
    case ErrorCode::file_invalid:
        return FaultKind::size;
    default:
        return repository::is_unreadable(code) ? FaultKind::unreadable : FaultKind::other;
    }
}

ArchiveListing list_archive(const repository::Repository& repository,
                            const std::string& stanza,
                            repository::ArchiveId id)
{
    ArchiveListing listing;
    const auto visit = [&](const storage::EntryInfo& entry) {
        const std::string& path = entry.name; // list_recursively() gives whole paths
        const std::string file(file_name(path));
        const auto dropped = repository::parse_gap_name(file);
        if (path == repository::cluster_path(stanza, id)) {
            return;
        }
        if (dropped && path == repository::gap_path(stanza, id, *dropped)) {
            listing.documents.push_back(path);
            return;
        }
        auto name = repository::parse_wal_object_name(file);
        if (!name || path != repository::wal_directory(stanza, id, name->wal_name) + "/" + file) {
            listing.strangers.push_back(path);
            return;
        }
        listing.files.push_back({std::move(*name), entry.size});
    };
    storage::list_recursively(repository.storage(), repository::archive_path(stanza, id), visit);
    return listing;
}

void list_again(const repository::Repository& repository,
                const std::string& stanza,
                repository::ArchiveId id,
                ArchiveListing& listing)
{
    ArchiveListing now = list_archive(repository, stanza, id);
    std::erase_if(now.files, [&](const ArchivedFile& file) {
        const std::string path = path_of(stanza, id, file);
        return listing.damaged.contains(path) || listing.known.contains(path) ||
               listing.unreadable.contains(path);
    });
    listing.files = std::move(now.files);
}

// The small files decide about timelines: they are read always.
bool ArchiveReading::is_wanted(const ArchivedFile& file) const
{
    const std::string& name = file.name.wal_name;
    return name.size() != postgres::kSegmentDigits ||
           (share.has(path_of(options.stanza, cluster.id, file)) &&
            (only == nullptr || only->contains(name)));
}

bool ArchiveReading::is_quick(const ArchivedFile& file) const
{
    return options.depth == repository::VerifyDepth::quick &&
           file.name.wal_name.size() == postgres::kSegmentDigits;
}

ArchiveVerification::ArchiveVerification(ArchiveReading reading,
                                         ArchiveListing& listing,
                                         VerifiedArchive& result)
    : reading_(std::move(reading)), listing_(listing), result_(result),
      outcomes_(listing.files.size(), Outcome::unread)
{
    for (const std::string& path : listing_.strangers) {
        log::warn("'{}' in the repository is nothing that pgstrata stores there", path);
    }
    find_duplicates(reading_.options.stanza, listing_, result_);
}

std::uint64_t ArchiveVerification::bytes() const
{
    std::uint64_t all = 0;
    for (const ArchivedFile& file : listing_.files) {
        all += reading_.is_wanted(file) ? file.size : 0;
    }
    return all;
}

void ArchiveVerification::work(const std::stop_token& token)
{
    for (std::size_t i = next_++; i < outcomes_.size() && !token.stop_requested(); i = next_++) {
        check_cancelled();
        read_one(i);
    }
}

void ArchiveVerification::read_one(std::size_t index)
{
    const ArchivedFile& file = listing_.files[index];
    const std::string path = path_of(reading_.options.stanza, reading_.cluster.id, file);
    if (!reading_.is_wanted(file)) {
        // What a set does not need is none of its faults.
        if (reading_.only == nullptr && take_known(path)) {
            outcomes_[index] = Outcome::known;
        }
        return;
    }
    outcomes_[index] = check(file, path);
    if (outcomes_[index] == Outcome::valid && reading_.is_quick(file) && take_known(path)) {
        outcomes_[index] = Outcome::known;
    }
    reading_.bytes_read(file.size);
}

ArchiveVerification::Outcome ArchiveVerification::check(const ArchivedFile& file,
                                                        const std::string& path)
{
    const auto check =
        reading_.is_quick(file) ? repository::check_stored_wal : repository::check_wal;
    try {
        check(reading_.repository, reading_.options.stanza, reading_.cluster, file.name);
        return Outcome::valid;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_missing) {
            log::warn("'{}' was removed from the repository while it was verified", path);
            return Outcome::gone;
        }
        rethrow_unless_of_object(reading_.repository, error);
        const bool is_unread = repository::is_unreadable(error.code());
        const std::lock_guard lock(mutex_);
        result_.faults.push_back({kind_of(error.code()), path, problem_of(error)});
        if (!is_unread) {
            listing_.damaged.emplace(path, error.what());
            return Outcome::damaged;
        }
        listing_.unreadable.insert(path);
        // The record of this run takes the place of the one that knew of it.
        if (const auto known = reading_.known.find(path); known != reading_.known.end()) {
            listing_.damaged.emplace(path, known->second.problem);
        }
        return Outcome::unreadable;
    }
}

bool ArchiveVerification::take_known(const std::string& path)
{
    const auto known = reading_.known.find(path);
    if (known == reading_.known.end()) {
        return false;
    }
    const repository::DamagedWal& damage = known->second;
    const std::lock_guard lock(mutex_);
    listing_.known.insert(path);
    result_.faults.push_back(
        {FaultKind::checksum, path, damage.problem + known_since(damage.since)});
    return true;
}

void ArchiveVerification::take_outcomes()
{
    std::vector<ArchivedFile> left;
    for (std::size_t i = 0; i < outcomes_.size(); ++i) {
        const bool is_valid = outcomes_[i] == Outcome::valid;
        result_.valid += is_valid ? 1U : 0U;
        result_.checked += is_valid || outcomes_[i] == Outcome::damaged ? 1U : 0U;
        if (is_valid || outcomes_[i] == Outcome::unread) {
            left.push_back(std::move(listing_.files[i]));
        }
    }
    listing_.files = std::move(left);
}

void ArchiveVerification::verify_documents()
{
    for (const std::string& path : listing_.documents) {
        try {
            reading_.repository.read_document(path);
        } catch (const Error& error) {
            rethrow_unless_of_object(reading_.repository, error);
            if (error.code() != ErrorCode::file_missing) { // it was removed meanwhile
                result_.faults.push_back({kind_of(error.code()), path, problem_of(error)});
            }
        }
    }
}

void ArchiveVerification::finish()
{
    take_outcomes();
    verify_documents();
    std::ranges::sort(result_.faults, {}, &VerifyFault::object);
}

} // namespace pgstrata::engine
