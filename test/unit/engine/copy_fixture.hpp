// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/engine/cluster_fixture.hpp"

#include "pgstrata/engine/copy.hpp"

#include <optional>

namespace pgstrata::test {

// A data directory on its way into a repository in memory.
struct CopyRun {
    explicit CopyRun(const repository::CipherSetting& setting = {}) : memory(setting)
    {
        options.data_directory = data.path();
        options.page_check.start.value = 0x1000000;
        options.page_check.limit.value = 0x2000000;
    }

    void plan()
    {
        engine::scan_into_manifest(
            data.path(), {.major = 15, .catalog_version = 202209061}, manifest);
        backup_plan = engine::plan_full_backup(manifest, options.page_size);
    }

    engine::CopyResult copy()
    {
        packs.emplace(*memory.repository, kStanza, kLabel, pack_size);
        engine::Progress progress(backup_plan.bytes, [this](std::uint64_t all, std::uint64_t done) {
            reported_all = all;
            reported_done = done;
        });
        auto result = engine::copy_files(options, backup_plan, manifest, *packs, progress);
        manifest.packs = packs->finished();
        return result;
    }

    const repository::ManifestFile& file(const std::string& path) const
    {
        const auto* found = find_file(manifest, path);
        INFO(path);
        REQUIRE(found != nullptr);
        return *found;
    }
    std::string read(const std::string& path) const
    {
        return read_backed_up(*memory.repository, manifest, file(path));
    }
    bool has_vanished(const engine::CopyResult& result, const std::string& path) const
    {
        return result.vanished.at(static_cast<std::size_t>(&file(path) - manifest.files.data()));
    }

    DataDirectory data;
    MemoryRepository memory;
    engine::CopyOptions options;
    repository::Manifest manifest;
    engine::BackupPlan backup_plan;
    std::optional<repository::PackSet> packs;
    std::uint64_t pack_size = 8U << 20U;
    std::uint64_t reported_all = 0;
    std::uint64_t reported_done = 0;
};

} // namespace pgstrata::test
