// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/cluster.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace pgstrata::test {

// The program under test: PGSTRATA_BINARY, or the release build beside the source.
std::string program_under_test();

struct SiteOptions {
    ClusterOptions cluster;
    std::string cipher;                // of the repository; none when empty
    std::vector<std::string> settings; // lines of [global]
    std::string repository;            // where, if not in the site's own directory
    bool is_ready = true;              // started and with its stanza created
};

// A cluster with a repository, a configuration file and archiving wired to the program under test.
class Site {
public:
    static constexpr const char* kPassphrase = "correct horse battery staple";

    explicit Site(const SiteOptions& options = {});

    Cluster& cluster() { return cluster_; }
    const std::string& repository() const { return repository_; }
    std::string path(const std::string& name) const { return base_ / name; }
    std::string configuration() const { return path("pgstrata.conf"); }

    // COMMAND with its options, for our configuration and stanza.
    ProcessResult run(const std::vector<std::string>& arguments,
                      const ProcessOptions& options = {}) const;
    // The same; throws with all output unless it succeeds.
    ProcessResult must(const std::vector<std::string>& arguments) const;
    BackgroundProcess start(const std::vector<std::string>& arguments) const;

    // Makes a backup and returns its label.
    std::string backup(const std::vector<std::string>& arguments = {"--type=full"}) const;
    // The object of our stanza in info's JSON.
    nlohmann::json info(const std::vector<std::string>& arguments = {}) const;
    std::vector<std::string> labels() const;

    // Restores into a new directory and returns the cluster there, not started.
    Cluster restore(const std::vector<std::string>& arguments);
    // A name in our directory that nothing has yet.
    std::string new_path(const std::string& name);
    // Files of the repository whose path contains `part`, sorted, relative to its root.
    std::vector<std::string> objects(const std::string& part) const;

private:
    Arguments command_line(const std::vector<std::string>& arguments) const;

    TemporaryDirectory base_;
    std::string repository_;
    Cluster cluster_;
    unsigned names_ = 0;
};

} // namespace pgstrata::test
