// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>

namespace pgstrata::test {

inline bool is_free_port(unsigned port)
{
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_bound =
        ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return is_bound;
}

// The first of `count` ports in a row that nobody listens on. Several test programs may look for
// ports at the same time, so each begins somewhere else.
inline unsigned free_ports(unsigned count)
{
    constexpr unsigned kLowest = 20000;
    constexpr unsigned kRange = 10000;
    for (unsigned i = 0; i < kRange; i += count) {
        const unsigned first = kLowest + (static_cast<unsigned>(::getpid()) * count + i) % kRange;
        bool are_free = true;
        for (unsigned port = first; port < first + count; ++port) {
            are_free = are_free && is_free_port(port);
        }
        if (are_free) {
            return first;
        }
    }
    throw std::runtime_error("no free ports");
}

} // namespace pgstrata::test
