// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_get_async.hpp"

#include "engine/arriving_file.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/hex.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <set>

namespace pgstrata::engine {

namespace {

constexpr std::size_t kShortestQueue = 2;
constexpr std::size_t kLongestQueue = 65536;
constexpr std::size_t kNameSize = 24;
constexpr std::size_t kDigestSize = 40;
constexpr std::size_t kStretch = 1U << 20U;

// What process `pid` fetches goes here first; get_wal() adds an ending of its own.
std::string arriving_name(std::string_view wal, std::int64_t pid)
{
    return fmt::format("{}.{}.part", wal, pid);
}

std::set<std::string> segments_there(const std::vector<std::string>& files,
                                     const std::string& place)
{
    std::set<std::string> there;
    for (const std::string& file : files) {
        const auto entry = parse_queue_entry(file);
        if (entry && entry->place == place) {
            there.insert(entry->wal);
        }
    }
    return there;
}

void check_head(ByteView head, const std::string& wal, const postgres::ControlFile& control)
{
    const postgres::WalHeader header = postgres::parse_wal_header(head);
    const auto segment = postgres::parse_wal_segment(wal, control.wal_segment_size);
    if (!segment || header.system_identifier != control.system_identifier ||
        header.page_address != postgres::start_of(*segment, control.wal_segment_size)) {
        raise(ErrorCode::archive_mismatch, "it is WAL of another cluster or place");
    }
}

// Reads a file of the queue once and checks it; `copy` gets the bytes where it is not null.
void read_entry(const FileDescriptor& file,
                const QueueEntry& entry,
                const postgres::ControlFile& control,
                Sink* copy)
{
    repository::WalDigest digest(entry.digest);
    Buffer stretch(kStretch);
    std::uint64_t offset = 0;
    for (std::size_t count = stretch.size(); count == stretch.size(); offset += count) {
        count = pread_fully(file.get(), stretch.span(), offset, entry.wal);
        const ByteView bytes = stretch.view().first(count);
        if (offset == 0) {
            check_head(bytes, entry.wal, control);
        }
        if (offset + count > control.wal_segment_size) {
            raise(ErrorCode::format, "it has more than {} bytes", control.wal_segment_size);
        }
        digest.update(bytes);
        if (copy != nullptr) {
            copy->write(bytes);
        }
    }
    if (offset != control.wal_segment_size || digest.finish() != entry.digest) {
        raise(ErrorCode::checksum, "its contents are not what was fetched");
    }
}

// False when the entry is not good; it is gone then. What keeps `copy` from being written is
// thrown.
bool check_entry(const Spool& spool,
                 const QueueEntry& entry,
                 const postgres::ControlFile& control,
                 Sink* copy)
{
    const std::string path = spool.path(to_string(entry));
    try {
        read_entry(open_file(path, O_RDONLY | O_NOFOLLOW), entry, control, copy);
        return true;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_write) {
            throw;
        }
        log::warn("'{}' was fetched ahead and cannot be used: [{:03}] {}",
                  path,
                  error.exit_status(),
                  error.what());
        spool.remove(to_string(entry));
        return false;
    }
}

bool is_beside(const ArrivingFile& file, const std::string& path)
{
    struct stat here {};
    struct stat there {};
    return ::fstat(file.fd(), &here) == 0 && ::lstat(path.c_str(), &there) == 0 &&
           here.st_dev == there.st_dev;
}

// False when it cannot be moved there, but copied.
bool try_to_move(const std::string& from, const std::string& to)
{
    if (::rename(from.c_str(), to.c_str()) == 0) {
        return true;
    }
    if (errno != EXDEV) {
        raise_errno(ErrorCode::file_move, errno, fmt::format("move '{}' to '{}'", from, to));
    }
    return false;
}

// The server sees the destination whole or not at all: on the same filesystem the file itself is
// moved there, else a copy of it. The same filesystem may be mounted twice, or have a quota for
// each part. False when the entry is not good.
bool place_entry(const Spool& spool,
                 const QueueEntry& entry,
                 const QueueRequest& request,
                 const postgres::ControlFile& control)
{
    const std::string path = spool.path(to_string(entry));
    ArrivingFile copy(request.destination);
    if (is_beside(copy, path)) {
        if (!check_entry(spool, entry, control, nullptr)) {
            return false;
        }
        if (try_to_move(path, request.destination)) {
            return true;
        }
    }
    if (!check_entry(spool, entry, control, &copy)) {
        return false;
    }
    copy.place();
    spool.remove(to_string(entry));
    return true;
}

class Fetcher : NonCopyable {
public:
    explicit Fetcher(const FetchRun& run) : run_(run) {}

    std::size_t go()
    {
        const QueuePlan plan = plan_queue(run_.wanted, run_.spool.names(), run_.place);
        for (const std::string& name : plan.remove) {
            run_.spool.remove(name);
        }
        if (!plan.fetch.empty()) {
            fetch_all(plan.fetch);
        }
        return fetched_;
    }

private:
    void fetch_all(const std::vector<std::string>& segments)
    {
        std::atomic<std::size_t> next = 0;
        run_workers(std::clamp<std::size_t>(run_.workers, 1, segments.size()),
                    [&](std::size_t worker, const std::stop_token& token) {
                        log::set_process_number(static_cast<unsigned>(worker) + 1);
                        while (!token.stop_requested() && !is_over_) {
                            const std::size_t index = next++;
                            if (index >= segments.size()) {
                                break;
                            }
                            run_.check();
                            fetch_one(segments[index]);
                        }
                    });
        log::set_process_number(0);
    }

    void fetch_one(const std::string& wal)
    {
        const std::string arriving = run_.spool.path(arriving_name(wal, ::getpid()));
        try {
            // Who needs this segment now waits for it from here on.
            FileDescriptor announced = open_file(arriving, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            announced.close(arriving);
            const auto digest = run_.fetch(wal, arriving);
            if (!digest) {
                is_over_ = true;
                run_.spool.write_absent(wal);
                ::unlink(arriving.c_str());
                return;
            }
            const FileDescriptor file = open_file(arriving, O_RDONLY);
            sync_file(file.get(), arriving);
            const std::string path = run_.spool.path(to_string({wal, *digest, run_.place}));
            if (::rename(arriving.c_str(), path.c_str()) != 0) {
                raise_errno(
                    ErrorCode::file_move, errno, fmt::format("move '{}' to '{}'", arriving, path));
            }
            sync_directory(run_.spool.path());
            ++fetched_;
        } catch (const Error& error) {
            is_over_ = true;
            ::unlink(arriving.c_str());
            if (error.code() == ErrorCode::terminated) {
                throw;
            }
            log::write_error(error.exit_status(), error.what(), error.hint());
            run_.spool.write_error(wal, error);
        }
    }

    const FetchRun& run_;
    std::atomic<bool> is_over_ = false;
    std::atomic<std::size_t> fetched_ = 0;
};

} // namespace

std::string to_string(const QueueEntry& entry)
{
    return fmt::format("{}-{}.{}", entry.wal, entry.digest, entry.place);
}

std::optional<QueueEntry> parse_queue_entry(std::string_view name)
{
    constexpr std::size_t kPlaceAt = kNameSize + 1 + kDigestSize + 1;
    if (name.size() <= kPlaceAt || name[kNameSize] != '-' || name[kPlaceAt - 1] != '.') {
        return std::nullopt;
    }
    QueueEntry entry{std::string(name.substr(0, kNameSize)),
                     std::string(name.substr(kNameSize + 1, kDigestSize)),
                     std::string(name.substr(kPlaceAt))};
    const bool is_entry = is_upper_hex(entry.wal) && is_hex(entry.digest) && is_hex(entry.place);
    return is_entry ? std::optional(std::move(entry)) : std::nullopt;
}

std::size_t queue_length(std::uint64_t bytes, std::uint32_t segment_size)
{
    return std::clamp<std::uint64_t>(
        bytes / std::max<std::uint32_t>(segment_size, 1), kShortestQueue, kLongestQueue);
}

std::vector<std::string>
queue_names(postgres::WalSegment first, std::size_t length, std::uint32_t segment_size)
{
    std::vector<std::string> names;
    names.reserve(length);
    for (; names.size() < length; ++first.number) {
        names.push_back(postgres::to_string(first, segment_size));
    }
    return names;
}

QueuePlan plan_queue(const std::vector<std::string>& wanted,
                     const std::vector<std::string>& files,
                     const std::string& place)
{
    QueuePlan plan;
    const std::set<std::string> there = segments_there(files, place);
    std::ranges::copy_if(wanted, std::back_inserter(plan.fetch), [&](const std::string& wal) {
        return !there.contains(wal);
    });
    const std::set<std::string> kept(wanted.begin(), wanted.end());
    std::ranges::copy_if(files, std::back_inserter(plan.remove), [&](const std::string& file) {
        const auto entry = parse_queue_entry(file);
        return !entry || entry->place != place || !kept.contains(entry->wal);
    });
    return plan;
}

bool is_queue_low(const std::vector<std::string>& wanted,
                  const std::vector<std::string>& files,
                  const std::string& place)
{
    return 2 * plan_queue(wanted, files, place).fetch.size() > wanted.size();
}

bool take_from_queue(const Spool& spool,
                     const QueueRequest& request,
                     const postgres::ControlFile& control)
{
    return std::ranges::any_of(spool.names(), [&](const std::string& name) {
        const auto entry = parse_queue_entry(name);
        return entry && entry->wal == request.wal && entry->place == request.place &&
               place_entry(spool, *entry, request, control);
    });
}

bool is_being_fetched(const Spool& spool, std::string_view wal, std::int64_t pid)
{
    const std::string arriving = arriving_name(wal, pid);
    return std::ranges::any_of(spool.names(),
                               [&](const std::string& name) { return name.starts_with(arriving); });
}

std::size_t fetch_ahead(const FetchRun& run)
{
    return Fetcher(run).go();
}

} // namespace pgstrata::engine
