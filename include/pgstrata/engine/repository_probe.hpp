// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"
#include "pgstrata/util/error.hpp"

#include <cstdint>
#include <string>
#include <vector>

// Whether a repository can be used, proved by using it.
namespace pgstrata::engine {

enum class ProbeStep : std::uint8_t { list, write, read, remove };

struct ProbeFailure {
    ProbeStep step = ProbeStep::list;
    Error error;
};

// Writes a small object beside the archive of the stanza, reads it back, finds it in the listing of
// its directory and removes it. Returns what failed, in this order of steps; a step that builds on
// one that failed is left out. An object that cannot be removed stays: nothing takes it for WAL.
// What checks that died have left there is removed when it is a day old. Throws Error(terminated)
// only.
std::vector<ProbeFailure> probe_repository(storage::Storage& storage, const std::string& stanza);

// What did not let a removal happen is a right that is missing, which may be on purpose.
bool is_refused_removal(const ProbeFailure& failure) noexcept;

} // namespace pgstrata::engine
