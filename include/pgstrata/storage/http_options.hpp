// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstdint>
#include <string>

namespace pgstrata::storage {

enum class Proxy : std::uint8_t { of_environment, none };

// Probes of TCP on connections on which nothing moves; 0 for what the system does (libcurl's 60
// seconds for idle and interval).
struct KeepAlive {
    bool is_on = true;
    unsigned idle_seconds = 0;
    unsigned interval_seconds = 0;
    unsigned count = 0;
};

// How a server is spoken to. TLS is 1.2 or later.
struct HttpOptions {
    std::string ca_file; // both empty: the system's
    std::string ca_path;
    bool verify_tls = true;
    // For a connection to be made, and for how long less than a trickle (kSlowestBytes in that
    // time) may move.
    std::uint64_t timeout_milliseconds = 60000;
    KeepAlive keep_alive;
    Proxy proxy = Proxy::of_environment; // http_proxy, https_proxy and no_proxy

    static constexpr std::uint64_t kSlowestBytes = 1024;
};

} // namespace pgstrata::storage
