// SPDX-License-Identifier: PostgreSQL
#include "support/swift.hpp"

#include "support/certificate.hpp"
#include "support/ports.hpp"

namespace pgstrata::test {

namespace {

constexpr unsigned kSwiftPorts = 6;

} // namespace

SwiftServer::SwiftServer()
{
    const auto certificate = make_certificate(directory_.path());
    description_.certificate = certificate.certificate;
    key_ = certificate.key;
    start();
}

void SwiftServer::start()
{
    process_ = start_server("Swift",
                            {PGSTRATA_START_SWIFT,
                             directory_.path(),
                             std::to_string(description_.port),
                             description_.certificate,
                             key_},
                            directory_);
}

Swift::Swift()
    : S3Server{"test", "test:tester", "testing-secret", "us-east-1", free_ports(kSwiftPorts)},
      tls_port(port + 1)
{
}

bool Swift::is_installed()
{
    static const bool kIsInstalled = is_server_installed(
        "command -v memcached && /usr/bin/python3 -c 'import swift'",
        "tests with a real S3 server: python3-swift and memcached are not installed");
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

std::vector<std::string> Swift::repository_with_tls(unsigned index) const
{
    const std::string repo = "repo" + std::to_string(index) + "-";
    std::vector<std::string> settings = credentials(index);
    settings.push_back(repo + "s3-endpoint=localhost:" + std::to_string(tls_port));
    settings.push_back(repo + "storage-host=127.0.0.1");
    settings.push_back(repo + "storage-ca-file=" + certificate);
    return settings;
}

} // namespace pgstrata::test
