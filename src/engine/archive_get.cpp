// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_get.hpp"

#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

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

// The file under a name of its own until it is whole: the server looks at the name only and must
// never see half of one. It syncs what it keeps by itself.
class ArrivingFile final : public Sink {
public:
    explicit ArrivingFile(const std::string& destination)
        : destination_(destination), temporary_(destination + ".pgstrata.tmp"),
          file_(open_file(temporary_, O_WRONLY | O_CREAT | O_TRUNC, 0600))
    {
    }
    ~ArrivingFile() override
    {
        if (file_.is_open()) {
            ::unlink(temporary_.c_str());
        }
    }

    void write(ByteView bytes) override { write_fully(file_.get(), bytes, temporary_); }

    void place()
    {
        if (::rename(temporary_.c_str(), destination_.c_str()) != 0) {
            raise_errno(ErrorCode::file_move,
                        errno,
                        fmt::format("move '{}' to '{}'", temporary_, destination_));
        }
        file_.close(destination_);
    }

private:
    const std::string& destination_;
    std::string temporary_;
    FileDescriptor file_;
};

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
