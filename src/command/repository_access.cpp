// SPDX-License-Identifier: PostgreSQL
#include "command/repository_access.hpp"

#include "pgstrata/engine/repository_probe.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace pgstrata::command {

namespace {

// Empty when the directory is open to us, or closed for another reason than its mode.
std::string describe_closed(const std::string& directory)
{
    constexpr unsigned kModeBits = 07777;
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0 ||
        ::faccessat(AT_FDCWD, directory.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) == 0 ||
        errno != EACCES) {
        return {};
    }
    return fmt::format(
        "the directory '{}' has mode {:04o} and belongs to {}:{}, and this is user {}",
        directory,
        status.st_mode & kModeBits,
        user_name(status.st_uid),
        group_name(status.st_gid),
        user_name(::geteuid()));
}

void warn_of_removal(unsigned index, const Error& error)
{
    log::warn("repo{}: {}\nHINT: {}this is as it should be where nothing is to be removed; "
              "otherwise nothing can be expired, and every check leaves a small object.",
              index,
              error.what(),
              error.hint().empty() ? "" : error.hint() + "; ");
}

} // namespace

void check_access(const OpenedRepository& opened, const std::string& stanza)
{
    std::vector<Error> failures;
    for (const engine::ProbeFailure& failure : engine::probe_repository(*opened.storage, stanza)) {
        if (engine::is_refused_removal(failure)) {
            warn_of_removal(opened.index, failure.error);
        } else {
            failures.push_back(failure.error);
        }
    }
    if (failures.empty()) {
        log::info("repo{} can be written, read and listed at '{}'",
                  opened.index,
                  opened.storage->location());
        return;
    }
    std::string text = failures.front().what();
    std::string hint = failures.front().hint();
    for (std::size_t i = 1; i < failures.size(); ++i) {
        text += std::string("\n") + failures[i].what();
        if (!failures[i].hint().empty() && failures[i].hint() != hint) {
            hint += (hint.empty() ? "" : "\n") + failures[i].hint();
        }
    }
    throw Error(failures.front().code(), text, hint);
}

Error explain_access(const Error& error, const config::Config& config, unsigned index)
{
    if (config.text("repo-type", index) == "s3") {
        return error;
    }
    const std::string& root = config.text("repo-path", index);
    for (const std::string& directory :
         {root,
          join_path(root, repository::kArchiveDirectory),
          join_path(root, repository::archive_path(config.text("stanza")))}) {
        if (const std::string closed = describe_closed(directory); !closed.empty()) {
            return {error.code(), error.what(), closed};
        }
    }
    return error;
}

} // namespace pgstrata::command
