// SPDX-License-Identifier: PostgreSQL
#include "support/ceph.hpp"

#include "support/ports.hpp"
#include "support/process.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/storage/s3.hpp"

#include <filesystem>
#include <iostream>

namespace pgstrata::test {

namespace {

constexpr unsigned kPorts = 13;

bool is_installed()
{
    constexpr const char* kCheck =
        "command -v radosgw && command -v ceph-mon && command -v ceph-osd";
    const bool is_there = run_process({"/bin/sh", "-c", kCheck}).status == 0;
    if (!is_there) {
        std::cerr << "\n##### SKIPPED: tests with the S3 gateway of Ceph: scripts/setup.sh ceph "
                     "installs it #####\n"
                  << std::endl;
    }
    return is_there;
}

class CephServer {
public:
    CephServer()
        : description{free_ports(kPorts)},
          process_({PGSTRATA_START_CEPH, directory_.path(), std::to_string(description.port)},
                   {.output_file = directory_ / "output"})
    {
        wait_until(
            "Ceph",
            [&] { return std::filesystem::exists(directory_ / "ready") || !process_.is_running(); },
            std::chrono::seconds(120));
        if (!process_.is_running()) {
            throw std::runtime_error("Ceph does not start; see " + (directory_ / "output"));
        }
    }

    Ceph description;

private:
    TemporaryDirectory directory_;
    BackgroundProcess process_;
};

} // namespace

const Ceph* Ceph::get()
{
    static const bool kIsInstalled = is_installed();
    if (!kIsInstalled) {
        return nullptr;
    }
    static const CephServer kServer;
    return &kServer.description;
}

std::vector<std::string> Ceph::repository(unsigned index) const
{
    const std::string repo = "repo" + std::to_string(index) + "-";
    return {repo + "type=s3",
            repo + "s3-bucket=" + kBucket,
            repo + "s3-region=" + kRegion,
            repo + "s3-key=" + kAccessKey,
            repo + "s3-key-secret=" + kSecretKey,
            repo + "s3-endpoint=http://127.0.0.1:" + std::to_string(port),
            repo + "s3-uri-style=path"};
}

storage::S3Options Ceph::options(const std::string& root) const
{
    storage::S3Options options{.root = root,
                               .bucket = kBucket,
                               .endpoint = "http://127.0.0.1:" + std::to_string(port),
                               .region = kRegion,
                               .uri_style = storage::S3UriStyle::path};
    options.keys.access_key = codec::SecretText(kAccessKey);
    options.keys.secret_key = codec::SecretText(kSecretKey);
    return options;
}

std::unique_ptr<storage::Storage> Ceph::open(const std::string& root) const
{
    return storage::make_s3_storage(options(root));
}

} // namespace pgstrata::test
