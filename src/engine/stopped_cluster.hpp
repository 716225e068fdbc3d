// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/backup.hpp"
#include "pgstrata/util/bytes.hpp"

namespace pgstrata::engine {

// A cluster that is backed up because no server runs on it. One thread.
class StoppedCluster {
public:
    // `options` outlive it; `control` are the bytes of pg_control now. Throws Error(pg_running)
    // when it looks as if a server runs, or warns of that where the backup is forced.
    StoppedCluster(const BackupOptions& options, Buffer control);

    // Throws Error(pg_running) when a server was started since, unless the backup is forced: it is
    // still there or has changed pg_control.
    void check() const;

private:
    const BackupOptions& options_;
    Buffer control_;
};

} // namespace pgstrata::engine
