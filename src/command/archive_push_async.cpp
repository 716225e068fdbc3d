// SPDX-License-Identifier: PostgreSQL
#include "command/archive_push.hpp"
#include "command/background.hpp"

#include "pgstrata/command/error_names.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>
#include <mutex>

namespace pgstrata::command {

namespace {

using engine::Spool;

// A process in the background that ended without a word is started again after this, then after
// twice as long.
constexpr std::uint64_t kFirstRestart = 1000;
// One that has not stored the file by then may be stuck with a repository, which a full queue must
// not wait for.
constexpr std::uint64_t kPatience = 5000;

std::string wal_directory(const config::Config& config)
{
    if (!config.has("pg-path")) {
        throw Error(ErrorCode::option_required,
                    "option 'pg1-path' is needed for 'archive-async'",
                    "the process in the background looks there for WAL to archive");
    }
    return join_path(config.text("pg-path"), "pg_wal");
}

// A run that does not push anything.
engine::PushRun make_run(const config::Config& config, const Spool& spool)
{
    engine::PushRun run{.spool = spool};
    run.wal_directory = wal_directory(config);
    run.place = place_of(config, config.repo_indexes());
    run.batch_size = static_cast<std::uint64_t>(config.number("archive-push-batch-size"));
    run.queue_limit = queue_limit(config);
    run.drop = [&](const engine::ReadyFile& file) { leave_gap(config, spool, file.name); };
    run.check = [&] {
        check_cancelled();
        engine::check_stop_file(config.text("lock-path"), config.text("stanza"));
    };
    return run;
}

// One archive-push that waits for its file.
class Waiter {
public:
    Waiter(const config::Config& config, const std::string& path)
        : config_(config), spool_(push_spool(config)), path_(path), name_(file_name(path)),
          place_(place_of(config, config.repo_indexes()))
    {
    }

    // Takes the mark when it is there and of this very file.
    bool take()
    {
        const auto stored = spool_.read_stored(name_);
        if (!stored) {
            return false;
        }
        const auto file = engine::look_at_wal(path_);
        if (!file || stored->identity != engine::mark_identity(*file, place_)) {
            return false;
        }
        spool_.remove(name_ + std::string(Spool::kOkSuffix));
        if (stored->warning) {
            log::warn("{}", *stored->warning);
        }
        log::info("pushed WAL file '{}' to the archive asynchronously", name_);
        return true;
    }

    void wait()
    {
        const auto timeout = static_cast<std::uint64_t>(config_.number("archive-timeout"));
        const std::uint64_t begin = monotonic_milliseconds();
        const std::uint64_t patience = std::min(kPatience, timeout / 2);
        std::uint64_t next_drop = patience; // since the beginning
        GrowingPause pause = background_pause();
        // An error that is there already is of an earlier try, and this one is here to try again.
        known_error_ = spool_.error_identity(name_);
        for (bool is_first = true; is_first || !take(); is_first = false) {
            throw_new_error();
            engine::check_stop_file(config_.text("lock-path"), config_.text("stanza"));
            const std::uint64_t waited = monotonic_milliseconds() - begin;
            if (waited >= timeout) {
                give_up(timeout);
            }
            start_where_needed();
            if (waited >= next_drop) {
                engine::drop_overflow(make_run(config_, spool_));
                next_drop = waited + patience;
            }
            pause.sleep();
        }
    }

private:
    void throw_new_error() const
    {
        if (spool_.error_identity(name_) == known_error_) {
            return;
        }
        if (const auto error = spool_.read_error(name_)) {
            throw Error(*error);
        }
    }

    void start_where_needed()
    {
        const std::uint64_t now = monotonic_milliseconds();
        if (now < next_start_ || background_process(config_) != 0) {
            return;
        }
        try {
            // Under the lock, so that no process is there to have just written them.
            const engine::LocalLock lock(archive_lock(config_));
            spool_.prepare();
            spool_.remove_errors(name_);
            known_error_.clear();
        } catch (const Error& error) {
            if (error.code() != ErrorCode::lock_acquire) {
                throw;
            }
            return;
        }
        start_background(config_);
        restart_pause_ = next_start_ == 0 ? kFirstRestart : 2 * restart_pause_;
        next_start_ = now + restart_pause_;
    }

    // What became of the process in the background.
    std::string background_state() const
    {
        const std::int64_t process = background_process(config_);
        const std::string log = background_log(config_);
        if (process != 0) {
            return fmt::format("{} is still at work, and says in '{}' what it does",
                               process > 0 ? fmt::format("process {}", process) : "another process",
                               log);
        }
        for (const std::string& failed : spool_.failed()) {
            if (const auto error = spool_.read_error(failed)) {
                return fmt::format("the process in the background, whose log is '{}', failed to "
                                   "push WAL file '{}': [{}] {}",
                                   log,
                                   failed,
                                   error_name(error->code()),
                                   error->what());
            }
        }
        return fmt::format("the process in the background ended without a word: see '{}'", log);
    }

    [[noreturn]] void give_up(std::uint64_t timeout) const
    {
        throw Error(
            ErrorCode::archive_timeout,
            fmt::format(
                "unable to push WAL file '{}' to the archive asynchronously after {} second(s)",
                name_,
                static_cast<double>(timeout) / 1000.0),
            background_state());
    }

    const config::Config& config_;
    Spool spool_;
    std::string path_;
    std::string name_;
    std::string place_;
    std::string known_error_;
    std::uint64_t next_start_ = 0; // 0 before the first
    std::uint64_t restart_pause_ = 0;
};

// The repositories of a process in the background, opened when the first file is pushed.
class LazyTargets {
public:
    explicit LazyTargets(const config::Config& config) : config_(config) {}

    // Throws the same failure to all.
    const PushTargets& get()
    {
        const std::lock_guard lock(mutex_);
        if (!opened_ && !failure_) {
            open();
        }
        if (failure_) {
            throw Error(*failure_);
        }
        return *opened_;
    }

private:
    void open()
    {
        try {
            PushTargets opened = open_push_targets(config_);
            if (opened.targets.empty()) {
                raise_no_repository(opened.failures);
            }
            exclude_other_clusters(config_, opened);
            opened_ = std::move(opened);
        } catch (const Error& error) {
            failure_ = error;
        }
    }

    const config::Config& config_;
    std::mutex mutex_;
    std::optional<PushTargets> opened_;
    std::optional<Error> failure_;
};

engine::PushCount push_all(const config::Config& config, const Spool& spool)
{
    spool.prepare();
    engine::remove_leftovers(spool);
    LazyTargets targets(config);
    const engine::PushOptions base = push_options(config);
    engine::PushRun run = make_run(config, spool);
    run.workers = base.workers;
    run.push = [&](const engine::ReadyFile& file, std::size_t workers) {
        std::string warnings;
        engine::PushOptions options = base;
        options.path = join_path(run.wal_directory, file.name);
        options.workers = workers;
        options.on_warning = [&](const std::string& text) {
            warnings += (warnings.empty() ? "" : "\n") + text;
        };
        refuse_failures(push_file(options, targets.get()));
        return warnings;
    };
    const engine::PushCount count = engine::push_waiting(run);
    record_gaps(config, spool, [&]() -> const PushTargets& { return targets.get(); });
    return count;
}

} // namespace

bool push_through_spool(const config::Config& config, const std::string& path)
{
    const std::string directory = wal_directory(config);
    Waiter waiter(config, path);
    if (waiter.take()) {
        return true;
    }
    if (!is_ready(path) || !is_same_directory(parent_path(path), directory)) {
        return false;
    }
    waiter.wait();
    return true;
}

int push_in_background(const config::Config& config)
{
    const engine::LocalLock lock(archive_lock(config));
    const Spool spool = push_spool(config);
    engine::PushCount count;
    try {
        count = push_all(config, spool);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::terminated) {
            leave_error(spool, error);
        }
        throw;
    }
    log::info("pushed {} WAL file(s) to the archive, dropped {}", count.pushed, count.dropped);
    if (count.failed != 0) {
        raise(ErrorCode::command, "unable to push {} WAL file(s)", count.failed);
    }
    return 0;
}

} // namespace pgstrata::command
