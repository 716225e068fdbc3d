// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/engine/cluster_fixture.hpp"
#include "unit/engine/restore_fixture.hpp"

#include "pgstrata/engine/copy.hpp"
#include "pgstrata/repository/file_pages.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>

namespace pgstrata::test {

inline constexpr auto kTablePath = "base/1/16384";

// The bytes of a file as its chain of page maps leads to them. `reader` is one of all packs.
inline std::string read_through_chain(repository::PackReader& reader,
                                      const repository::Repository& repository,
                                      const repository::Manifest& manifest,
                                      const repository::ManifestFile& file)
{
    if (file.content != repository::ContentKind::paged) {
        return read_backed_up(reader, repository, file);
    }
    const auto maps = repository::read_page_maps(reader, manifest.packs, file.extents, file.path);
    const repository::FilePages pages(maps, file.path);
    REQUIRE(std::uint64_t{pages.count()} * pages.page_size() == file.size);
    std::string bytes;
    for (const repository::PageRun& run : pages.runs()) {
        bytes += as_text(reader.read(run.where));
    }
    REQUIRE(bytes.size() == file.size);
    for (std::size_t i = 0; i < pages.count(); ++i) {
        const ByteView page = as_bytes(bytes).subspan(i * pages.page_size(), pages.page_size());
        if (codec::page_hash(page, repository.page_hash_key()) != pages.hashes()[i]) {
            FAIL("page " << i << " of " << file.path << " is not what its hash says");
        }
    }
    return bytes;
}

inline std::string read_through_chain(const repository::Repository& repository,
                                      const repository::Manifest& manifest,
                                      const repository::ManifestFile& file)
{
    repository::PackReader reader(repository, kStanza, manifest.packs);
    return read_through_chain(reader, repository, manifest, file);
}

// Copies of one data directory into a repository in memory, each built on the one before.
struct Chain {
    Chain()
    {
        options.data_directory = data.path();
        options.page_check.start.value = 0x1000000;
        options.page_check.limit.value = 0x2000000;
        rules.trust_times = false;
    }

    static std::string label_of(std::size_t number)
    {
        return number == 0 ? std::string(kLabel)
                           : fmt::format("{}_20261122-{:06}I", kLabel, number);
    }

    void plan()
    {
        prior.reset();
        manifest = HandMadeManifest().manifest;
        manifest.directories.clear();
        manifest.names.clear();
        manifest.header.label = label_of(taken.size());
        engine::scan_into_manifest(
            data.path(), {.major = 15, .catalog_version = 202209061}, manifest);
        if (taken.empty()) {
            backup_plan = engine::plan_full_backup(manifest, options.page_size);
            return;
        }
        manifest.header.type = repository::BackupType::incr;
        manifest.header.prior = last().header.label;
        prior =
            std::make_unique<repository::ManifestReader>(*memory, kStanza, manifest.header.prior);
        manifest.packs = prior->head().packs;
        rules.page_size = options.page_size;
        rules.changes = options.changes;
        backup_plan = engine::plan_backup(manifest, rules, *prior);
    }

    engine::CopyResult copy() { return copy_to(*memory); }
    // `repository` may lead to the same objects by another way.
    engine::CopyResult copy_to(const repository::Repository& repository)
    {
        repository::PackSet packs(repository, kStanza, manifest.header.label, pack_size);
        if (options.durable != nullptr) {
            packs.take_over(options.durable->packs());
        }
        engine::Progress progress(backup_plan.bytes, {});
        const auto result = engine::copy_files(options, backup_plan, manifest, packs, progress);
        engine::remove_vanished(manifest, result.vanished);
        repository::settle_packs(manifest, packs.finished());
        repository::write_manifest(*memory, kStanza, manifest);
        taken.push_back(repository::read_manifest(*memory, kStanza, manifest.header.label));
        return result;
    }

    engine::CopyResult take()
    {
        plan();
        return copy();
    }

    const repository::Manifest& last() const { return taken.back(); }
    const repository::ManifestFile& file(const std::string& path) const
    {
        const auto* found = find_file(last(), path);
        INFO(path);
        REQUIRE(found != nullptr);
        return *found;
    }
    std::string read(const std::string& path) const
    {
        return read_through_chain(*memory, last(), file(path));
    }
    // What the files of the last copy are like must be what is on disk.
    void check_all() const
    {
        repository::PackReader reader(*memory, kStanza, last().packs);
        for (const auto& copied : last().files) {
            INFO(last().header.label << " " << copied.path);
            const std::string bytes = read_through_chain(reader, *memory, last(), copied);
            REQUIRE((bytes == read_text_file(data.path() + "/" + copied.path, 256U << 20U)));
        }
    }

    DataDirectory data;
    MemoryRepository memory;
    engine::CopyOptions options;
    engine::ChangeRules rules;
    std::uint64_t pack_size = 8U << 20U;
    std::deque<repository::Manifest> taken;
    repository::Manifest manifest; // of the one that is planned
    engine::BackupPlan backup_plan;

private:
    std::unique_ptr<repository::ManifestReader> prior;
};

} // namespace pgstrata::test
