// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace pgstrata::storage {
class Storage;
struct S3Options;
} // namespace pgstrata::storage

namespace pgstrata::test {

// Another real S3 server: the gateway of a Ceph cluster in memory, one for the whole test program.
struct Ceph {
    static constexpr const char* kBucket = "test";
    static constexpr const char* kAccessKey = "tester";
    static constexpr const char* kSecretKey = "testing-secret";
    static constexpr const char* kRegion = "us-east-1";

    unsigned port = 0;

    // Started by the first call; nullptr, after saying so loudly, where it is not installed. Throws
    // std::runtime_error when it does not start.
    static const Ceph* get();

    // Lines of [global] that make its bucket repoN.
    std::vector<std::string> repository(unsigned index) const;
    // What is below `root` in its bucket.
    storage::S3Options options(const std::string& root) const;
    std::unique_ptr<storage::Storage> open(const std::string& root) const;
};

} // namespace pgstrata::test
