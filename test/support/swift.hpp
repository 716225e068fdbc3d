// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <string>

namespace pgstrata::test {

// A real S3 server: OpenStack Swift, one for the whole test program, without and with TLS.
struct Swift {
    static constexpr const char* kBucket = "test";
    static constexpr const char* kAccessKey = "test:tester";
    static constexpr const char* kSecretKey = "testing-secret";
    static constexpr const char* kRegion = "us-east-1";

    unsigned port = 0;
    unsigned tls_port = 0;
    std::string certificate; // its own authority

    // Started by the first call; nullptr, after a loud word, where it is not installed.
    static const Swift* get();
};

} // namespace pgstrata::test
