// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/engine/cluster_fixture.hpp"
#include "unit/engine/restore_fixture.hpp"

#include "pgstrata/engine/archive_get.hpp"
#include "pgstrata/engine/archive_push.hpp"
#include "pgstrata/storage/decorators.hpp"

#include <map>
#include <memory>
#include <vector>

namespace pgstrata::test {

// WAL on its way into one or two repositories and back. The first is reached through a storage that
// can be told to fail.
struct ArchiveRun {
    explicit ArchiveRun(const repository::CipherSetting& setting = {}) : first(setting)
    {
        failing = storage::make_failing_storage(*first.storage, fault);
        repository = repository::Repository::open(*failing, setting);
        repository::write_cluster(*first.repository, kStanza, cluster);
        options.stanza = kStanza;
    }

    void add_second()
    {
        second = std::make_unique<MemoryRepository>();
        repository::write_cluster(*second->repository, kStanza, cluster);
    }

    std::vector<engine::PushTarget> targets() const
    {
        std::vector<engine::PushTarget> targets = {{1, repository.get(), cluster}};
        if (second) {
            targets.push_back({2, second->repository.get(), cluster});
        }
        return targets;
    }
    std::vector<engine::GetSource> sources() const
    {
        std::vector<engine::GetSource> sources = {{1, repository.get()}};
        if (second) {
            sources.push_back({2, second->repository.get()});
        }
        return sources;
    }

    void push(const std::string& name, std::string_view content)
    {
        options.path = directory / name;
        std::ofstream(options.path, std::ios::binary | std::ios::trunc) << content;
        for (const engine::PushFailure& failure : engine::push_wal(options, targets())) {
            raise(ErrorCode::command,
                  "repo{}: [{:03}] {}",
                  failure.index,
                  failure.error.exit_status(),
                  failure.error.what());
        }
    }

    // "(none)" when the file is proved absent.
    std::string get(const std::string& name) const { return get_from_all(name, sources()); }
    std::string get_from(const MemoryRepository& memory, const std::string& name) const
    {
        return get_from_all(name, {{1, memory.repository.get()}});
    }
    std::string get_from_all(const std::string& name,
                             const std::vector<engine::GetSource>& sources) const
    {
        const std::string destination = directory / "RECOVERYXLOG";
        std::filesystem::remove(destination);
        if (!engine::get_wal({kStanza, name, destination}, control, sources)) {
            CHECK_FALSE(std::filesystem::exists(destination));
            return "(none)";
        }
        return read_text_file(destination);
    }

    // The archived objects of a repository, without the description of the cluster.
    static std::vector<std::string> objects(const MemoryRepository& memory)
    {
        std::vector<std::string> paths;
        storage::list_recursively(*memory.storage, "archive", [&](const storage::EntryInfo& entry) {
            if (!entry.name.ends_with("cluster.json")) {
                paths.push_back(entry.name);
            }
        });
        return paths;
    }

    WarningLog warnings;
    TemporaryDirectory directory;
    MemoryRepository first;
    storage::FaultPlan fault;
    std::unique_ptr<storage::Storage> failing;
    std::unique_ptr<repository::Repository> repository;
    std::unique_ptr<MemoryRepository> second;
    repository::Cluster cluster = make_test_cluster();
    postgres::ControlFile control = postgres::parse_control_file(make_control_bytes());
    engine::PushOptions options;
};

} // namespace pgstrata::test
