// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/wal_changes.hpp"

#include "pgstrata/postgres/version.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/time.hpp"

#include <filesystem>
#include <span>
#include <utility>

namespace pgstrata::engine {

using postgres::ChangedBlocks;
using postgres::SummarizerState;
using postgres::WalRanges;
using postgres::WalSummaryName;

namespace {

namespace fs = std::filesystem;

constexpr unsigned kFirstSummarizerWait = 20;
constexpr unsigned kLongestSummarizerWait = 500;

// Here and below, an empty reason says that nothing is in the way.
std::string why_not_summarized(postgres::Session& session)
{
    const auto* version = postgres::find_version(session.major());
    if (version == nullptr || !version->has_wal_summaries) {
        return fmt::format("PostgreSQL {} has no WAL summaries", session.major());
    }
    if (session.setting("summarize_wal") != "on") {
        return "summarize_wal is off";
    }
    return {};
}

WalRanges ranges_of(const WalChangesRequest& request)
{
    postgres::TimelineHistory history;
    if (request.prior_timeline != request.timeline) {
        const std::string path = join_path(request.data_directory,
                                           fmt::format("pg_wal/{:08X}.history", request.timeline));
        history = postgres::parse_timeline_history(read_text_file(path), request.timeline);
    }
    return postgres::find_wal_ranges(history,
                                     {.prior_timeline = request.prior_timeline,
                                      .prior_start = request.prior_start,
                                      .prior_stop = request.prior_stop,
                                      .timeline = request.timeline,
                                      .start = request.start});
}

// Once the server summarizes a later timeline, it is done with ours.
bool has_reached(const SummarizerState& state, const WalChangesRequest& request)
{
    return std::pair(state.timeline, state.summarized) >=
           std::pair(request.timeline, request.start);
}

std::string wait_for_summarizer(const WalChangesRequest& request, postgres::Session& session)
{
    // Only what goes beyond the best so far is progress: a summarizer that fails and starts again
    // reads the same WAL again.
    std::pair<postgres::Timeline, postgres::Lsn> best;
    std::uint64_t deadline = monotonic_milliseconds() + request.timeout_milliseconds;
    GrowingPause pause(kFirstSummarizerWait, kLongestSummarizerWait);
    for (;;) {
        const SummarizerState state = session.summarizer_state();
        if (has_reached(state, request)) {
            return {};
        }
        if (!state.is_running) {
            return "the server's WAL summarizer is not running";
        }
        const std::uint64_t now = monotonic_milliseconds();
        const std::pair reached(state.timeline, state.pending);
        if (reached > best) {
            best = reached;
            deadline = now + request.timeout_milliseconds;
        }
        if (now >= deadline) {
            return fmt::format(
                "the server's WAL summarizer does not get beyond {} on timeline {}, but this "
                "backup started at {} on timeline {}",
                to_string(best.second),
                best.first,
                to_string(request.start),
                request.timeline);
        }
        pause.sleep();
    }
}

std::vector<WalSummaryName> list_summaries(const std::string& directory)
{
    std::vector<WalSummaryName> found;
    std::error_code failure;
    for (auto entry = fs::directory_iterator(directory, failure);
         !failure && entry != fs::directory_iterator();
         entry.increment(failure)) {
        if (const auto name = postgres::parse_wal_summary_name(entry->path().filename().string())) {
            found.push_back(*name);
        }
    }
    if (failure) {
        raise_errno(
            ErrorCode::path_open, failure.value(), fmt::format("list directory '{}'", directory));
    }
    return found;
}

// Merged in pairs of equal size, so that many summaries of the same blocks take no quadratic time.
ChangedBlocks read_summaries(const std::string& directory, std::span<const WalSummaryName> files)
{
    ChangedBlocks blocks;
    if (files.size() == 1) {
        check_cancelled();
        const std::string path = join_path(directory, to_string(files.front()));
        postgres::merge_wal_summary(
            as_bytes(read_text_file(path, postgres::kWalSummarySizeLimit)), path, blocks);
    } else if (files.size() > 1) {
        const std::size_t half = files.size() / 2;
        blocks = read_summaries(directory, files.first(half));
        blocks.merge(read_summaries(directory, files.subspan(half)));
    }
    return blocks;
}

WalChanges unknown(std::string reason)
{
    return {.blocks = std::nullopt, .reason = std::move(reason), .files = 0};
}

WalChanges find_changes(const WalChangesRequest& request, postgres::Session& session)
{
    if (std::string reason = why_not_summarized(session); !reason.empty()) {
        return unknown(std::move(reason));
    }
    const WalRanges wal = ranges_of(request);
    if (!wal.reason.empty()) {
        return unknown(wal.reason);
    }
    if (std::string reason = wait_for_summarizer(request, session); !reason.empty()) {
        return unknown(std::move(reason));
    }
    const std::string directory = join_path(request.data_directory, "pg_wal/summaries");
    const auto choice = postgres::choose_wal_summaries(list_summaries(directory), wal.ranges);
    if (choice.gap) {
        return unknown(fmt::format("there is no WAL summary of timeline {} from {} to {}",
                                   choice.gap->timeline,
                                   to_string(choice.gap->begin),
                                   to_string(choice.gap->end)));
    }
    return {.blocks = read_summaries(directory, choice.files),
            .reason = {},
            .files = choice.files.size()};
}

} // namespace

WalChanges read_wal_changes(const WalChangesRequest& request, postgres::Session& session)
{
    try {
        return find_changes(request, session);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::terminated || error.code() == ErrorCode::db_connect) {
            throw;
        }
        return unknown(error.what());
    }
}

} // namespace pgstrata::engine
