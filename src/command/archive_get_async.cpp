// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_get_async.hpp"

#include "command/archive_get.hpp"
#include "command/background.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>

namespace pgstrata::command {

namespace {

using engine::Spool;
using engine::SpoolFolder;

Spool queue_of(const config::Config& config)
{
    return {config.text("spool-path"), config.text("stanza"), SpoolFolder::in};
}

// The segments that belong into the queue, from `first` on.
std::vector<std::string> wanted_segments(const config::Config& config,
                                         postgres::WalSegment first,
                                         const postgres::ControlFile& control)
{
    const auto bytes = static_cast<std::uint64_t>(config.number("archive-get-queue-max"));
    return engine::queue_names(
        first, engine::queue_length(bytes, control.wal_segment_size), control.wal_segment_size);
}

postgres::WalSegment parse_segment(const std::string& name, const postgres::ControlFile& control)
{
    const auto segment = postgres::parse_wal_segment(name, control.wal_segment_size);
    if (!segment) {
        raise(ErrorCode::parameter_invalid,
              "'{}' is not the name of a WAL segment of {} bytes",
              name,
              control.wal_segment_size);
    }
    return *segment;
}

// Only a mark that is written while we wait says that the segment is not there: an older one may be
// of a time before it was.
QueueAnswer wait_for_queue(const config::Config& config,
                           const Spool& spool,
                           const engine::QueueRequest& request,
                           const postgres::ControlFile& control)
{
    const bool is_marked = spool.has_absent(request.wal);
    const bool is_trusted = !config.flag("archive-missing-retry") && !is_marked;
    const std::uint64_t deadline =
        monotonic_milliseconds() + static_cast<std::uint64_t>(config.number("archive-timeout"));
    GrowingPause pause = background_pause();
    for (;;) {
        // Asked before the queue is looked at: what it leaves at its end is seen.
        const std::int64_t process = background_process(config);
        const bool is_coming = process > 0 && engine::is_being_fetched(spool, request.wal, process);
        if (engine::take_from_queue(spool, request, control)) {
            return QueueAnswer::taken;
        }
        if (is_trusted && spool.has_absent(request.wal)) {
            return QueueAnswer::absent;
        }
        if (!is_coming || monotonic_milliseconds() >= deadline) {
            return QueueAnswer::unknown;
        }
        pause.sleep();
    }
}

std::size_t
fetch_all(const config::Config& config, const Spool& spool, const postgres::ControlFile& control)
{
    spool.prepare();
    const postgres::WalSegment first = parse_segment(config.parameters().at(0), control);
    const GetRepositories opened = open_get_sources(config, control);
    engine::FetchRun run{.spool = spool};
    run.place = place_of(config, chosen_repositories(config));
    run.wanted = wanted_segments(config, first, control);
    run.workers = static_cast<std::size_t>(config.number("process-max"));
    run.fetch = [&](const std::string& wal, const std::string& path) {
        return get_file(opened, {config.text("stanza"), wal, path}, control);
    };
    run.check = check_cancelled;
    return engine::fetch_ahead(run);
}

} // namespace

QueueAnswer ask_queue(const config::Config& config,
                      const engine::GetOptions& options,
                      const postgres::ControlFile& control)
{
    try {
        const engine::QueueRequest request = {
            options.wal_name, place_of(config, chosen_repositories(config)), options.destination};
        const QueueAnswer answer = wait_for_queue(config, queue_of(config), request, control);
        if (answer == QueueAnswer::taken) {
            log::info("found {} in the archive asynchronously", options.wal_name);
        }
        return answer;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::terminated) {
            throw;
        }
        log::warn("WAL that was fetched ahead cannot be used: {}", error.what());
        return QueueAnswer::unknown;
    }
}

void fill_queue(const config::Config& config,
                const std::string& wal_name,
                const postgres::ControlFile& control)
{
    try {
        const Spool spool = queue_of(config);
        postgres::WalSegment next = parse_segment(wal_name, control);
        ++next.number;
        const std::vector<std::string> wanted = wanted_segments(config, next, control);
        const std::string place = place_of(config, chosen_repositories(config));
        if (engine::is_queue_low(wanted, spool.names(), place) && background_process(config) == 0) {
            if (const auto error = spool.read_error(wanted.front())) {
                log::warn(
                    "WAL was not fetched ahead: [{:03}] {}", error->exit_status(), error->what());
            }
            start_background(config, {wanted.front()});
        }
    } catch (const Error& error) {
        // The segment that was asked for is there: nothing may take that back.
        log::warn("WAL is not fetched ahead: {}", error.what());
    }
}

int get_in_background(const config::Config& config, const postgres::ControlFile& control)
{
    const engine::LocalLock lock(archive_lock(config));
    const Spool spool = queue_of(config);
    try {
        log::info("fetched {} WAL segment(s) ahead", fetch_all(config, spool, control));
    } catch (const Error& error) {
        if (error.code() != ErrorCode::terminated) {
            leave_error(spool, error);
        }
        throw;
    }
    return 0;
}

} // namespace pgstrata::command
