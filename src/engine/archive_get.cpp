// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_get.hpp"

#include "engine/arriving_file.hpp"

#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_archive.hpp"

namespace pgstrata::engine {

namespace {

struct Candidate {
    unsigned repo_index = 1;
    const repository::Repository* repository = nullptr;
    repository::Cluster cluster;
    repository::WalObjectName object;
};

// Adds what one source has under the name.
void find_in(const GetSource& source,
             const GetOptions& options,
             const postgres::ControlFile& control,
             std::vector<Candidate>& candidates)
{
    for (const repository::Cluster& cluster :
         repository::list_clusters(*source.repository, options.stanza)) {
        if (!is_same_cluster(control, cluster)) {
            continue;
        }
        for (auto& object : repository::find_wal(
                 *source.repository, options.stanza, cluster.id, options.wal_name)) {
            if (!candidates.empty() && candidates.front().object.digest != object.digest) {
                throw Error(
                    ErrorCode::archive_duplicate,
                    fmt::format(
                        "the archive has different files for WAL file '{}' (repo{} and repo{})",
                        options.wal_name,
                        candidates.front().repo_index,
                        source.index),
                    "two clusters have archived here: remove the one that does not belong");
            }
            candidates.push_back({source.index, source.repository, cluster, std::move(object)});
        }
    }
}

} // namespace

bool get_wal(const GetOptions& options,
             const postgres::ControlFile& control,
             const std::vector<GetSource>& sources)
{
    return fetch_wal(options, control, sources).has_value();
}

std::optional<std::string> fetch_wal(const GetOptions& options,
                                     const postgres::ControlFile& control,
                                     const std::vector<GetSource>& sources)
{
    std::vector<Candidate> candidates;
    std::string failures;
    const auto note_failure = [&](unsigned repo_index, const Error& error) {
        log::warn("repo{}: [{:03}] {}", repo_index, error.exit_status(), error.what());
        failures +=
            fmt::format("\nrepo{}: [{:03}] {}", repo_index, error.exit_status(), error.what());
    };
    for (const GetSource& source : sources) {
        try {
            find_in(source, options, control, candidates);
        } catch (const Error& error) {
            if (error.code() == ErrorCode::archive_duplicate) {
                throw;
            }
            note_failure(source.index, error);
        }
    }
    for (const Candidate& candidate : candidates) {
        ArrivingFile file(options.destination);
        try {
            repository::stream_wal(
                *candidate.repository, options.stanza, candidate.cluster, candidate.object, file);
        } catch (const Error& error) {
            if (error.code() == ErrorCode::file_write) {
                throw; // ours, not the repository's
            }
            note_failure(candidate.repo_index, error);
            continue;
        }
        file.place();
        log::info("found {} in the repo{}: {} archive",
                  options.wal_name,
                  candidate.repo_index,
                  repository::to_string(candidate.cluster.id));
        return candidate.object.digest;
    }
    if (!failures.empty()) {
        throw Error(ErrorCode::repo_invalid,
                    fmt::format("unable to get {}:{}", options.wal_name, failures));
    }
    return std::nullopt;
}

} // namespace pgstrata::engine
