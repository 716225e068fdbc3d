// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_archive.hpp"

#include "engine/verify_pack.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/path.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <mutex>

namespace pgstrata::engine {

namespace {

constexpr std::size_t kSegmentDigits = 24;

std::string path_of(const std::string& stanza, repository::ArchiveId id, const ArchivedFile& file)
{
    return fmt::format("{}/{}",
                       repository::wal_directory(stanza, id, file.name.wal_name),
                       repository::to_string(file.name));
}

// What became of a file.
enum class Outcome : std::uint8_t { unread, valid, gone, damaged, known };

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

void take_known(const std::pair<const std::string, repository::DamagedWal>& known,
                ArchiveListing& listing,
                VerifiedArchive& result)
{
    const auto& [path, damage] = known;
    listing.known.insert(path);
    result.faults.push_back(
        {FaultKind::checksum, path, damage.problem + known_since(damage.since)});
}

void take_outcomes(const std::vector<Outcome>& outcomes,
                   ArchiveListing& listing,
                   VerifiedArchive& result)
{
    std::vector<ArchivedFile> left;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        const bool is_valid = outcomes[i] == Outcome::valid;
        result.valid += is_valid ? 1U : 0U;
        result.checked += is_valid || outcomes[i] == Outcome::damaged ? 1U : 0U;
        if (is_valid || outcomes[i] == Outcome::unread) {
            left.push_back(std::move(listing.files[i]));
        }
    }
    listing.files = std::move(left);
}

void verify_documents(const repository::Repository& repository,
                      const ArchiveListing& listing,
                      VerifiedArchive& result)
{
    for (const std::string& path : listing.documents) {
        try {
            repository.read_document(path);
        } catch (const Error& error) {
            if (!is_of_object(error.code())) {
                throw;
            }
            if (error.code() != ErrorCode::file_missing) { // it was removed meanwhile
                result.faults.push_back({kind_of(error.code()), path, error.what()});
            }
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
        return FaultKind::other;
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
        return listing.damaged.contains(path) || listing.known.contains(path);
    });
    listing.files = std::move(now.files);
}

// The small files decide about timelines: they are read always.
bool ArchiveReading::is_wanted(const ArchivedFile& file) const
{
    const std::string& name = file.name.wal_name;
    return name.size() != kSegmentDigits || (share.has(path_of(options.stanza, cluster.id, file)) &&
                                             (only == nullptr || only->contains(name)));
}

void verify_archive(const ArchiveReading& reading, ArchiveListing& listing, VerifiedArchive& result)
{
    const repository::Repository& repository = reading.repository;
    const std::string& stanza = reading.options.stanza;
    for (const std::string& path : listing.strangers) {
        log::warn("'{}' in the repository is nothing that pgstrata stores there", path);
    }
    find_duplicates(stanza, listing, result);
    std::vector<Outcome> outcomes(listing.files.size(), Outcome::unread);
    std::mutex result_mutex;
    parallel_for_each(reading.options.workers, listing.files.size(), [&](std::size_t i) {
        check_cancelled();
        const ArchivedFile& file = listing.files[i];
        const std::string path = path_of(stanza, reading.cluster.id, file);
        if (!reading.is_wanted(file)) {
            if (const auto known = reading.known.find(path); known != reading.known.end()) {
                outcomes[i] = Outcome::known;
                const std::lock_guard lock(result_mutex);
                take_known(*known, listing, result);
            }
            return;
        }
        try {
            repository::check_wal(repository, stanza, reading.cluster, file.name);
            outcomes[i] = Outcome::valid;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::file_missing) {
                outcomes[i] = Outcome::gone;
                log::warn("'{}' was removed from the repository while it was verified", path);
            } else if (is_of_object(error.code())) {
                outcomes[i] = Outcome::damaged;
                const std::lock_guard lock(result_mutex);
                result.faults.push_back({kind_of(error.code()), path, error.what()});
                listing.damaged.emplace(path, error.what());
            } else {
                throw;
            }
        }
        reading.bytes_read(file.size);
    });
    take_outcomes(outcomes, listing, result);
    verify_documents(repository, listing, result);
    std::ranges::sort(result.faults, {}, &VerifyFault::object);
}

} // namespace pgstrata::engine
