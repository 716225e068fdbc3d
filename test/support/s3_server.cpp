// SPDX-License-Identifier: PostgreSQL
#include "support/s3_server.hpp"

#include "pgstrata/storage/s3.hpp"

#include <filesystem>
#include <iostream>
#include <stdexcept>

namespace pgstrata::test {

namespace {

std::string endpoint_of(const S3Server& server)
{
    return "http://127.0.0.1:" + std::to_string(server.port);
}

} // namespace

std::vector<std::string> S3Server::credentials(unsigned index) const
{
    const std::string repo = "repo" + std::to_string(index) + "-";
    return {repo + "type=s3",
            repo + "s3-bucket=" + bucket,
            repo + "s3-region=" + region,
            repo + "s3-key=" + access_key,
            repo + "s3-key-secret=" + secret_key};
}

std::vector<std::string> S3Server::repository(unsigned index) const
{
    const std::string repo = "repo" + std::to_string(index) + "-";
    std::vector<std::string> settings = credentials(index);
    settings.push_back(repo + "s3-endpoint=" + endpoint_of(*this));
    settings.push_back(repo + "s3-uri-style=path");
    return settings;
}

storage::S3Options S3Server::options(const std::string& root) const
{
    storage::S3Options options{.root = root,
                               .bucket = bucket,
                               .endpoint = endpoint_of(*this),
                               .region = region,
                               .uri_style = storage::S3UriStyle::path};
    options.keys.access_key = codec::SecretText(access_key);
    options.keys.secret_key = codec::SecretText(secret_key);
    return options;
}

std::unique_ptr<storage::Storage> S3Server::open(const std::string& root) const
{
    return storage::make_s3_storage(options(root));
}

bool is_server_installed(const char* command, const char* notice)
{
    const bool is_there = run_process({"/bin/sh", "-c", command}).status == 0;
    if (!is_there) {
        std::cerr << "\n##### SKIPPED: " << notice << " #####\n" << std::endl;
    }
    return is_there;
}

std::unique_ptr<BackgroundProcess>
start_server(const std::string& name, Arguments script, const TemporaryDirectory& directory)
{
    const auto ready = directory / "ready";
    std::filesystem::remove(ready);
    auto process = std::make_unique<BackgroundProcess>(
        std::move(script), ProcessOptions{.output_file = directory / "output"});
    wait_until(
        name,
        [&] { return std::filesystem::exists(ready) || !process->is_running(); },
        std::chrono::seconds(120));
    if (!process->is_running()) {
        throw std::runtime_error(name + " does not start; see " + (directory / "output"));
    }
    return process;
}

} // namespace pgstrata::test
