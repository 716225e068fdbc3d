// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/cluster.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pgstrata::storage {
class Storage;
}

namespace pgstrata::test {

// The program under test: PGSTRATA_BINARY, or the release build beside the source.
std::string program_under_test();

// How verify ends when it has found something.
inline constexpr int kVerifyFindings = 104;

// Where a repository is: on a disk, or in a bucket.
struct Place {
    std::string name = "disk";
    std::vector<std::string> settings = {};                                              // of repo1
    std::function<std::unique_ptr<storage::Storage>(const std::string& root)> open = {}; // a bucket
};
// All there are, for GENERATE: without Swift the disk only.
std::vector<Place> places();

// What a person remembers, and what a program has made up, of which keys are derived at once.
constexpr const char* kPassphrase = "correct horse battery staple";
constexpr const char* kGeneratedSecret =
    "77875d0131d96be25b440dfeda76e1a58dd1e95815556129eade6406928bc023";

struct SiteOptions {
    ClusterOptions cluster;
    std::string cipher; // of the repository; none when empty
    std::string secret = kGeneratedSecret;
    std::vector<std::string> settings; // lines of [global]
    std::string repository;            // where, if not in the site's own directory
    Place place = {};                  // of that repository
    bool is_ready = true;              // started and with its stanza created
};

// A cluster with a repository, a configuration file and archiving wired to the program under test.
class Site {
public:
    explicit Site(const SiteOptions& options = {});
    ~Site();

    Cluster& cluster() { return cluster_; }
    const std::string& repository() const { return repository_; }
    std::string path(const std::string& name) const { return base_ / name; }
    std::string configuration() const { return path("pgstrata.conf"); }

    // COMMAND with its options, for our configuration and stanza.
    ProcessResult run(const std::vector<std::string>& arguments,
                      const ProcessOptions& options = {}) const;
    // The same; throws with all output unless it succeeds.
    ProcessResult must(const std::vector<std::string>& arguments) const;
    // Off: from now on archive_command fails before it begins. (A change of the setting would tell
    // nobody when the archiver heeds it.)
    void set_archiving(bool is_on) const;
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
    // The repository past the program under test.
    std::string read_object(const std::string& path) const;
    void replace_object(const std::string& path, const std::string& text) const;
    void remove_object(const std::string& path) const;

private:
    Arguments command_line(const std::vector<std::string>& arguments) const;

    TemporaryDirectory base_;
    std::string repository_;
    std::unique_ptr<storage::Storage> bucket_; // nullptr on a disk
    Cluster cluster_;
    unsigned names_ = 0;
};

} // namespace pgstrata::test
