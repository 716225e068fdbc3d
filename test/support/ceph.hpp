// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/s3_server.hpp"

namespace pgstrata::test {

// Another real S3 server: the gateway of a Ceph cluster in memory, one for the whole test program.
struct Ceph : S3Server {
    Ceph();
    // Started by the first call; nullptr, after saying so loudly, where it is not installed. Throws
    // std::runtime_error when it does not start.
    static const Ceph* get();
};

} // namespace pgstrata::test
