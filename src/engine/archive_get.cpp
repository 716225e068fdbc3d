// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_get.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace pgstrata::engine {

namespace {

constexpr std::size_t kSmallFileLimit = 16U << 20U;

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
        if (cluster.system_identifier != control.system_identifier ||
            cluster.id.major != control.major) {
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

// The server looks at the name only: it must never see half a file. It syncs what it keeps by
// itself.
void place(ByteView bytes, const std::string& destination)
{
    const std::string temporary = destination + ".pgstrata.tmp";
    FileDescriptor file = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    try {
        write_fully(file.get(), bytes, temporary);
        file.close(temporary);
        if (::rename(temporary.c_str(), destination.c_str()) != 0) {
            raise_errno(ErrorCode::file_move,
                        errno,
                        fmt::format("move '{}' to '{}'", temporary, destination));
        }
    } catch (const Error&) {
        ::unlink(temporary.c_str());
        throw;
    }
}

std::size_t size_limit(const Candidate& candidate)
{
    const auto name = postgres::parse_wal_file_name(candidate.object.wal_name);
    const bool is_small = name && name->kind != postgres::WalFileKind::segment;
    return is_small ? std::max<std::size_t>(kSmallFileLimit, candidate.cluster.wal_segment_size)
                    : candidate.cluster.wal_segment_size;
}

} // namespace

bool get_wal(const GetOptions& options,
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
        Buffer bytes;
        try {
            bytes = repository::read_wal(*candidate.repository,
                                         options.stanza,
                                         candidate.cluster.id,
                                         candidate.object,
                                         size_limit(candidate));
        } catch (const Error& error) {
            note_failure(candidate.repo_index, error);
            continue;
        }
        place(bytes, options.destination);
        log::info("found {} in the repo{}: {} archive",
                  options.wal_name,
                  candidate.repo_index,
                  repository::to_string(candidate.cluster.id));
        return true;
    }
    if (!failures.empty()) {
        throw Error(ErrorCode::repo_invalid,
                    fmt::format("unable to get {}:{}", options.wal_name, failures));
    }
    return false;
}

} // namespace pgstrata::engine
