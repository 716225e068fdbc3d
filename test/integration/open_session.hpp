// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/cluster.hpp"

#include "pgstrata/postgres/session.hpp"

#include <memory>

namespace pgstrata::test {

inline std::unique_ptr<postgres::Session> open_session(const Cluster& cluster,
                                                       std::uint64_t timeout = 60'000)
{
    return postgres::connect({.socket_path = cluster.socket_directory(),
                              .port = static_cast<std::uint16_t>(cluster.port()),
                              .user = "postgres",
                              .timeout_milliseconds = timeout});
}

} // namespace pgstrata::test
