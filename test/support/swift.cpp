// SPDX-License-Identifier: PostgreSQL
#include "support/swift.hpp"

#include "support/certificate.hpp"
#include "support/ports.hpp"

#include "pgstrata/storage/s3.hpp"

#include <filesystem>
#include <iostream>
#include <memory>
#include <stdexcept>

namespace pgstrata::test {

namespace {

constexpr unsigned kPorts = 6;

} // namespace

SwiftServer::SwiftServer()
{
    const auto certificate = make_certificate(directory_.path());
    description_.port = free_ports(kPorts);
    description_.tls_port = description_.port + 1;
    description_.certificate = certificate.certificate;
    key_ = certificate.key;
    start();
}

void SwiftServer::start()
{
    const auto ready = directory_ / "ready";
    std::filesystem::remove(ready);
    process_ =
        std::make_unique<BackgroundProcess>(Arguments{PGSTRATA_START_SWIFT,
                                                      directory_.path(),
                                                      std::to_string(description_.port),
                                                      description_.certificate,
                                                      key_},
                                            ProcessOptions{.output_file = directory_ / "output"});
    wait_until(
        "Swift",
        [&] { return std::filesystem::exists(ready) || !process_->is_running(); },
        std::chrono::seconds(120));
    if (!process_->is_running()) {
        throw std::runtime_error("Swift does not start; see " + (directory_ / "output"));
    }
}

bool Swift::is_installed()
{
    static const bool kIsInstalled = [] {
        constexpr const char* kCheck = "command -v memcached && /usr/bin/python3 -c 'import swift'";
        const bool is_there = run_process({"/bin/sh", "-c", kCheck}).status == 0;
        if (!is_there) {
            std::cerr
                << "\n##### SKIPPED: tests with a real S3 server: python3-swift and memcached "
                   "are not installed #####\n"
                << std::endl;
        }
        return is_there;
    }();
    return kIsInstalled;
}

const Swift* Swift::get()
{
    if (!is_installed()) {
        return nullptr;
    }
    static const SwiftServer kServer;
    return &kServer.description();
}

std::vector<std::string> Swift::repository(unsigned index, bool is_tls) const
{
    const std::string repo = "repo" + std::to_string(index) + "-";
    std::vector<std::string> settings{repo + "type=s3",
                                      repo + "s3-bucket=" + kBucket,
                                      repo + "s3-region=" + kRegion,
                                      repo + "s3-key=" + kAccessKey,
                                      repo + "s3-key-secret=" + kSecretKey};
    if (is_tls) {
        settings.push_back(repo + "s3-endpoint=localhost:" + std::to_string(tls_port));
        settings.push_back(repo + "storage-host=127.0.0.1");
        settings.push_back(repo + "storage-ca-file=" + certificate);
    } else {
        settings.push_back(repo + "s3-endpoint=http://127.0.0.1:" + std::to_string(port));
        settings.push_back(repo + "s3-uri-style=path");
    }
    return settings;
}

storage::S3Options Swift::options(const std::string& root) const
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

std::unique_ptr<storage::Storage> Swift::open(const std::string& root) const
{
    return storage::make_s3_storage(options(root));
}

} // namespace pgstrata::test
