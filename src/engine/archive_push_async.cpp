// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_push_async.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/directory.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/size.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <set>

namespace pgstrata::engine {

namespace {

// How long PostgreSQL may take to note that a file is archived.
constexpr std::uint64_t kTakenMilliseconds = 1000;
constexpr unsigned kTakenPause = 100;
constexpr std::string_view kReady = ".ready";

std::vector<std::string> ready_names(const std::string& directory)
{
    const Directory opened(::opendir(directory.c_str()));
    if (!opened) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("open directory '{}'", directory));
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(opened.get())) {
        std::string_view name = entry->d_name;
        if (name.ends_with(kReady)) {
            name.remove_suffix(kReady.size());
            if (postgres::parse_wal_file_name(name)) {
                names.emplace_back(name);
            }
        }
        errno = 0;
    }
    if (errno != 0) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("list directory '{}'", directory));
    }
    std::ranges::sort(names);
    return names;
}

bool is_history(const ReadyFile& file)
{
    return file.name.ends_with(".history");
}

// As many of the files as fit into a batch, at least one.
std::size_t batch_length(const std::vector<ReadyFile>& files, std::uint64_t batch_size)
{
    std::uint64_t size = 0;
    std::size_t length = 0;
    while (length < files.size() && (length == 0 || size + files[length].size <= batch_size)) {
        size += files[length++].size;
    }
    return length;
}

class Pusher : NonCopyable {
public:
    explicit Pusher(const PushRun& run) : run_(run) {}

    PushCount go()
    {
        for (;;) {
            run_.check();
            PushPlan plan = look();
            for (const std::string& name : plan.forget) {
                run_.spool.remove(name + std::string(Spool::kOkSuffix));
            }
            const bool is_held = hold_back_taken(plan.push);
            if (has_failed_ || (plan.push.empty() && !is_held)) {
                return {pushed_, dropped_, failed_};
            }
            if (plan.push.empty()) {
                sleep_cancellable(kTakenPause);
            } else if (is_queue_full(plan.push, run_.queue_limit)) {
                drop(plan.push);
            } else {
                push_batch(plan.push);
            }
        }
    }

    std::size_t drop_overflow()
    {
        const PushPlan plan = look();
        if (is_queue_full(plan.push, run_.queue_limit)) {
            drop(plan.push);
        }
        return dropped_;
    }

private:
    // Marks first: a mark that is gone in between is of a file that PostgreSQL is done with.
    PushPlan look() const
    {
        const auto marks = read_marks(run_.spool);
        return plan_push(list_ready(run_.wal_directory, run_.place), marks);
    }

    // Takes out the files that this run has stored and whose mark was taken just now: PostgreSQL is
    // about to rename their .ready. One whose .ready stays is pushed again after a while.
    bool hold_back_taken(std::vector<ReadyFile>& files)
    {
        const std::uint64_t now = monotonic_milliseconds();
        std::map<std::string, std::uint64_t> taken;
        std::erase_if(files, [&](const ReadyFile& file) {
            if (!stored_.contains(file.identity)) {
                return false;
            }
            const auto before = taken_.find(file.identity);
            const std::uint64_t since = before == taken_.end() ? now : before->second;
            taken.emplace(file.identity, since);
            return now - since < kTakenMilliseconds;
        });
        taken_ = std::move(taken);
        return !taken_.empty();
    }

    void drop(const std::vector<ReadyFile>& files)
    {
        for (const ReadyFile& file : files) {
            run_.check();
            run_.drop(file);
            const std::string warning =
                fmt::format("dropped WAL file '{}' because archive queue exceeded {}",
                            file.name,
                            format_size(*run_.queue_limit));
            run_.spool.write_stored(file.name, {file.identity, warning});
            log::warn("{}", warning);
            ++dropped_;
        }
    }

    void push_batch(const std::vector<ReadyFile>& files)
    {
        std::atomic<std::size_t> next = 0;
        const std::size_t length = batch_length(files, run_.batch_size);
        const std::size_t threads = std::max<std::size_t>(run_.workers / length, 1);
        run_workers(std::clamp<std::size_t>(run_.workers, 1, length),
                    [&](std::size_t worker, const std::stop_token& token) {
                        log::set_process_number(static_cast<unsigned>(worker) + 1);
                        while (!token.stop_requested() && !has_failed_ && !is_overflowing()) {
                            const std::size_t index = next++;
                            if (index >= length) {
                                break;
                            }
                            run_.check();
                            push_one(files[index], threads);
                        }
                    });
        log::set_process_number(0);
    }

    // WAL may pile up while a slow batch is under way: the limit must not wait for its end.
    bool is_overflowing()
    {
        const std::uint64_t now = monotonic_milliseconds();
        if (!run_.queue_limit || now < next_look_) {
            return false;
        }
        next_look_ = now + run_.look_milliseconds;
        return is_queue_full(look().push, run_.queue_limit);
    }

    void push_one(const ReadyFile& file, std::size_t threads)
    {
        try {
            const std::string warning = run_.push(file, threads);
            const std::string path = join_path(run_.wal_directory, file.name);
            const auto after = look_at_wal(path);
            if (!after || mark_identity(*after, run_.place) != file.identity) {
                raise(ErrorCode::file_read, "'{}' changed while it was pushed", path);
            }
            run_.spool.write_stored(
                file.name,
                {file.identity, warning.empty() ? std::nullopt : std::optional(warning)});
            ++pushed_;
            log::detail("pushed WAL file '{}' to the archive", file.name);
            const std::lock_guard lock(stored_mutex_);
            stored_.insert(file.identity);
        } catch (const Error& error) {
            if (error.code() == ErrorCode::terminated) {
                throw;
            }
            has_failed_ = true;
            ++failed_;
            log::write_error(error.exit_status(), error.what(), error.hint());
            run_.spool.write_error(file.name, error);
        }
    }

    const PushRun& run_;
    std::atomic<std::uint64_t> next_look_ = 0;
    std::atomic<bool> has_failed_ = false;
    std::atomic<std::size_t> pushed_ = 0;
    std::atomic<std::size_t> failed_ = 0;
    std::size_t dropped_ = 0;
    std::mutex stored_mutex_;
    std::set<std::string> stored_;               // identities
    std::map<std::string, std::uint64_t> taken_; // identities, and since when they have no mark
};

} // namespace

std::string mark_identity(const WalOnDisk& file, const std::string& place)
{
    return fmt::format("{} {}", file.identity, place);
}

std::vector<ReadyFile> list_ready(const std::string& wal_directory, const std::string& place)
{
    std::vector<ReadyFile> files;
    for (const std::string& name : ready_names(join_path(wal_directory, "archive_status"))) {
        if (const auto file = look_at_wal(join_path(wal_directory, name))) {
            files.push_back({name, file->size, mark_identity(*file, place)});
        }
    }
    return files;
}

PushPlan plan_push(const std::vector<ReadyFile>& ready,
                   const std::map<std::string, std::string>& stored)
{
    PushPlan plan;
    std::map<std::string, std::string> others = stored;
    for (const ReadyFile& file : ready) {
        const auto mark = stored.find(file.name);
        if (mark != stored.end() && mark->second == file.identity) {
            others.erase(file.name);
        } else {
            plan.push.push_back(file);
        }
    }
    for (const auto& [name, identity] : others) {
        plan.forget.push_back(name);
    }
    std::ranges::sort(plan.push, [](const ReadyFile& a, const ReadyFile& b) {
        return is_history(a) != is_history(b) ? is_history(a) : a.name < b.name;
    });
    return plan;
}

bool is_queue_full(const std::vector<ReadyFile>& waiting, std::optional<std::uint64_t> limit)
{
    std::uint64_t size = 0;
    for (const ReadyFile& file : waiting) {
        size += file.size;
    }
    return limit && size > *limit;
}

std::map<std::string, std::string> read_marks(const Spool& spool)
{
    std::map<std::string, std::string> marks;
    for (const std::string& name : spool.names()) {
        if (name.ends_with(Spool::kOkSuffix)) {
            const std::string wal = name.substr(0, name.size() - Spool::kOkSuffix.size());
            const auto stored = spool.read_stored(wal);
            marks.emplace(wal, stored ? stored->identity : std::string());
        }
    }
    return marks;
}

void remove_leftovers(const Spool& spool)
{
    for (const std::string& name : spool.names()) {
        if (!name.ends_with(Spool::kOkSuffix) && !name.ends_with(Spool::kGapSuffix)) {
            spool.remove(name);
        }
    }
}

PushCount push_waiting(const PushRun& run)
{
    return Pusher(run).go();
}

std::size_t drop_overflow(const PushRun& run)
{
    return Pusher(run).drop_overflow();
}

} // namespace pgstrata::engine
