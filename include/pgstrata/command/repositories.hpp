// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"
#include "pgstrata/repository/repository.hpp"
#include "pgstrata/storage/storage.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

// From the configuration to opened repositories.
namespace pgstrata::command {

struct OpenedRepository {
    unsigned index = 1;
    std::unique_ptr<storage::Storage> storage; // outlives the repository, which points to it
    std::unique_ptr<repository::Repository> repository;
};

// How long a store may be silent: brief is for who has to go on without it.
enum class Patience : unsigned char { configured, brief };

// Where the bytes of repoN are; nothing is read or made.
std::unique_ptr<storage::Storage> open_storage(const config::Config& config,
                                               unsigned index,
                                               Patience patience = Patience::configured);

// The cipher of repoN with its passphrase, from the option, the file or the command that has it.
// Throws Error(option_required) for an empty one.
repository::CipherSetting cipher_setting(const config::Config& config, unsigned index);

enum class RepositoryAccess : unsigned char { existing, create };
OpenedRepository open_repository(const config::Config& config,
                                 unsigned index,
                                 RepositoryAccess access = RepositoryAccess::existing,
                                 Patience patience = Patience::configured);

// For a command that works on all repositories: the one that --repo chose, else all.
std::vector<unsigned> chosen_repositories(const config::Config& config);
// For a command that works on one repository: the one that --repo chose, else the lowest, which is
// logged when there is a choice.
unsigned single_repository(const config::Config& config);

// "repo2: [FileMissingError] text", with the hint on a line of its own.
std::string describe_failure(unsigned index, const Error& error);
// Calls `work` with each index and goes on when it throws Error, but for an end that was asked for.
// Returns the descriptions of the failures, each with a line feed before it; empty when there were
// none.
std::string try_repositories(const std::vector<unsigned>& indexes,
                             const std::function<void(unsigned)>& work);
// Throws Error(repo_invalid) with those.
[[noreturn]] void raise_no_repository(const std::string& failures);

} // namespace pgstrata::command
