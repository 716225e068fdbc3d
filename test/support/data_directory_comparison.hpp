// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::test {

struct ComparisonOptions {
    // Paths relative to the data directory that may differ; those ending in a slash mean everything
    // below.
    std::vector<std::string> ignored = {"postmaster.pid",
                                        "postmaster.opts",
                                        "postgresql.auto.conf",
                                        "backup_label",
                                        "recovery.signal",
                                        "backup_label.old",
                                        "pg_stat_tmp/",
                                        "pg_subtrans/",
                                        "pg_notify/",
                                        "pg_replslot/",
                                        "pg_serial/",
                                        "pg_snapshots/"};
    std::size_t limit = 50; // differences after which it stops
    // Whether two pages that differ are as good as the same; never when not set.
    std::function<bool(const std::string& name, std::string_view left, std::string_view right)>
        is_same_page;
};

// Compares two data directories entry by entry, and files page by page of 8 KiB; tablespaces are
// followed. Returns one line a difference, none when they are the same: "base/5/1259 page 3
// differs", "pg_xact/0000 is missing on the right". Modes of files count, times and owners do not.
std::vector<std::string> compare_data_directories(const std::string& left,
                                                  const std::string& right,
                                                  const ComparisonOptions& options = {});

} // namespace pgstrata::test
