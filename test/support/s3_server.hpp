// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/process.hpp"
#include "support/temporary_directory.hpp"

#include <memory>
#include <string>
#include <vector>

namespace pgstrata::storage {
class Storage;
struct S3Options;
} // namespace pgstrata::storage

namespace pgstrata::test {

// A bucket of a real S3 server on this host, without TLS.
struct S3Server {
    const char* bucket = "";
    const char* access_key = "";
    const char* secret_key = "";
    const char* region = "";
    unsigned port = 0;

    // Lines of [global] that make the bucket repoN.
    std::vector<std::string> repository(unsigned index) const;
    // The same without the way to the server.
    std::vector<std::string> credentials(unsigned index) const;
    // What is below `root` in the bucket.
    storage::S3Options options(const std::string& root) const;
    std::unique_ptr<storage::Storage> open(const std::string& root) const;
};

// Whether a server can be had, by a command of the shell; says `notice` loudly when not.
bool is_server_installed(const char* command, const char* notice);
// Runs the script, whose second argument is the directory: it makes "ready" in there once `name`
// answers. Throws std::runtime_error when it does not come to that.
std::unique_ptr<BackgroundProcess>
start_server(const std::string& name, Arguments script, const TemporaryDirectory& directory);

} // namespace pgstrata::test
