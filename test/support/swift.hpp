// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/s3_server.hpp"

namespace pgstrata::test {

// A real S3 server: OpenStack Swift, one for the whole test program, without and with TLS.
struct Swift : S3Server {
    static constexpr const char* kReaderKey = "test:reader"; // may list and read only

    Swift();
    unsigned tls_port = 0;
    std::string certificate; // its own authority

    // Whether it can be had; the first call says so loudly when not.
    static bool is_installed();
    // Started by the first call; nullptr where it is not installed.
    static const Swift* get();

    // Lines of [global] that make its bucket repoN, over TLS.
    std::vector<std::string> repository_with_tls(unsigned index) const;
};

// One that can be taken down and brought up again with all that it holds. Throws std::runtime_error
// when it does not start.
class SwiftServer {
public:
    SwiftServer();
    SwiftServer(const SwiftServer&) = delete;
    SwiftServer& operator=(const SwiftServer&) = delete;

    const Swift& description() const { return description_; }
    // kill -9 of all its processes.
    void stop() { process_.reset(); }
    void start();

private:
    TemporaryDirectory directory_;
    Swift description_;
    std::string key_;
    std::unique_ptr<BackgroundProcess> process_;
};

} // namespace pgstrata::test
