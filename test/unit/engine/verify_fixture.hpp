// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/engine/backup_fixture.hpp"

#include "pgstrata/engine/verify.hpp"
#include "pgstrata/repository/notes.hpp"
#include "pgstrata/repository/wal_gap.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace pgstrata::test {

// A full and an incr of a small cluster in several packs, with WAL of two timelines.
struct VerifyRun : BackupRun {
    explicit VerifyRun(const repository::CipherSetting& cipher = {},
                       std::optional<int> wal_compress_level = {})
        : BackupRun(cipher), setting(cipher)
    {
        ArchiveRun::options.compress_level = wal_compress_level;
        backup.pack_size = 32U << 10U;
        backup.check_pages = false;
        for (std::uint32_t i = 0; i < 3; ++i) {
            data.write(fmt::format("base/1/{}", 16384 + i), make_pages(100 * i, 40));
        }
        data.write("pg_xact/0000", random_bytes(300000, 1));
        full = run().label;
        data.write("base/1/16384",
                   make_pages(0, 40).replace(10 * kPageSize, kPageSize, make_page(10, '#')));
        data.write("pg_xact/0000", random_bytes(300000, 2));
        backup.type = repository::BackupType::incr;
        backup.is_delta = true;
        incr = run().label;
        push_wal();
        repository::BackupNote note;
        note.annotations = {{"who", "me"}};
        repository::write_note(*first.repository, kStanza, full, note);
        repository::write_gap(
            *first.repository, kStanza, cluster.id, {"000000010000000000000001", "full", 1, "h"});
        first.repository->write_document(repository::history_path(kStanza, "20200101-000000F"),
                                         {{"format", 1}});
        options.stanza = kStanza;
        options.workers = 2;
    }

    static std::string random_bytes(std::size_t size, std::uint32_t seed)
    {
        std::string text(size, '\0');
        for (char& c : text) {
            seed = seed * 1664525U + 1013904223U;
            c = static_cast<char>(seed >> 24U);
        }
        return text;
    }

    // Segments 3 to 5 of timeline 1, which was left in 6, and 6 of timeline 2.
    void push_wal()
    {
        for (const postgres::Timeline timeline : {1U, 2U}) {
            WalBuilder builder(15, timeline);
            for (int i = 0; i < 4; ++i) {
                builder.append_text(fmt::format("record {} of {}", i, timeline));
                builder.append_switch();
            }
            for (std::uint64_t i = timeline == 1 ? 0 : 3; i < (timeline == 1 ? 3 : 4); ++i) {
                const auto bytes = builder.segment(i);
                push(segment(timeline, 3 + i), as_text(bytes));
            }
        }
        push("00000002.history", "1\t0/600028\tno recovery target specified\n");
    }

    static std::string segment(postgres::Timeline timeline, std::uint64_t number)
    {
        return to_string(postgres::WalSegment{timeline, number}, WalBuilder::kSegmentSize);
    }

    // As the command does, with a repository that is opened anew.
    engine::VerifyReport verify()
    {
        const auto opened = repository::Repository::open(*first.storage, setting);
        return engine::verify(options, *opened, {});
    }

    // All objects of the repository, without the records of verify.
    std::vector<std::string> all_objects() const
    {
        std::vector<std::string> paths;
        storage::list_recursively(*first.storage, "", [&](const storage::EntryInfo& entry) {
            if (entry.name.find("/verify/") == std::string::npos) {
                paths.push_back(entry.name);
            }
        });
        return paths;
    }
    std::string object(const std::string& part) const
    {
        for (const std::string& path : all_objects()) {
            if (path.find(part) != std::string::npos) {
                return path;
            }
        }
        FAIL("no object " << part);
        return {};
    }

    // Writes a pack anew with one raw byte changed: its frames are sound, what is in them is not.
    void forge(const std::string& path, const repository::Extent& where, std::uint32_t byte)
    {
        const Buffer bytes = first.read(path);
        const MemorySource source(bytes);
        const codec::ObjectIdentity identity{codec::ObjectKind::pack, path};
        codec::ObjectReader reader(source, identity, first.repository->cipher());
        Buffer forged;
        BufferSink sink(forged);
        codec::ObjectWriter writer(sink, identity, first.repository->cipher());
        for (Buffer raw; reader.next(raw);) {
            if (reader.place().offset == where.offset) {
                raw.span()[where.position + byte] ^= std::byte{1};
            }
            writer.append({raw, static_cast<std::uint32_t>(raw.size()), codec::FrameCodec::none});
        }
        writer.finish();
        REQUIRE(forged.size() == bytes.size());
        first.replace(path, forged);
    }

    repository::CipherSetting setting;
    std::string full;
    std::string incr;
    engine::VerifyOptions options;
};

inline const engine::VerifiedBackup& backup_of(const engine::VerifyReport& report,
                                               const std::string& label)
{
    const auto found = std::ranges::find(report.backups, label, &engine::VerifiedBackup::label);
    REQUIRE(found != report.backups.end());
    return *found;
}

inline std::vector<engine::VerifyFault> all_faults(const engine::VerifyReport& report)
{
    std::vector<engine::VerifyFault> all = report.faults;
    for (const auto& archive : report.archives) {
        all.insert(all.end(), archive.faults.begin(), archive.faults.end());
    }
    for (const auto& backup : report.backups) {
        all.insert(all.end(), backup.faults.begin(), backup.faults.end());
    }
    return all;
}

} // namespace pgstrata::test
