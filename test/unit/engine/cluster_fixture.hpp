// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/temporary_directory.hpp"
#include "unit/postgres/wal_builder.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/engine/archive_push.hpp"
#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/postgres/page.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/page_map.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>

namespace pgstrata::test {

// The system identifier that WalBuilder writes.
inline constexpr std::uint64_t kSystemIdentifier = 7000000000000000001U;
inline constexpr std::size_t kPageSize = 8192;

// `state` is 1 for one that was shut down, 6 in production.
inline Buffer make_control_bytes(std::uint64_t system_identifier = kSystemIdentifier,
                                 std::uint32_t state = 1)
{
    Buffer bytes(postgres::kControlFileSize);
    std::memset(bytes.data(), 0, bytes.size());
    const auto u32 = [&](std::size_t offset, std::uint32_t value) {
        store(bytes.data() + offset, value);
    };
    store(bytes.data(), system_identifier);
    u32(8, 1300);
    u32(12, 202209061);
    u32(16, state);
    store<std::uint64_t>(bytes.data() + 32, 0x300098);
    store<std::uint64_t>(bytes.data() + 40, 0x300060);
    u32(48, 1);
    u32(216, 8192);
    u32(220, 131072);
    u32(224, 8192);
    u32(228, WalBuilder::kSegmentSize);
    u32(252, 1);
    u32(288, postgres::crc32c(bytes.view().first(288)));
    return bytes;
}

inline repository::Cluster make_test_cluster()
{
    return repository::make_cluster(postgres::parse_control_file(make_control_bytes()), 1);
}

// A page as a server would write it: block `block` of its fork, filled with `fill`.
inline std::string make_page(std::uint32_t block, char fill, postgres::Lsn lsn = {0x200000})
{
    std::string page(kPageSize, fill);
    const MutableBytes bytes = std::as_writable_bytes(std::span(page.data(), page.size()));
    std::memset(bytes.data(), 0, 24);
    store(bytes.data(), static_cast<std::uint32_t>(lsn.value >> 32U));
    store(bytes.data() + 4, static_cast<std::uint32_t>(lsn.value));
    store<std::uint16_t>(bytes.data() + 12, 24);
    store<std::uint16_t>(bytes.data() + 14, 4000);
    store<std::uint16_t>(bytes.data() + 16, 8192);
    store<std::uint16_t>(bytes.data() + 18, 8192 | 4);
    store(bytes.data() + 8, postgres::page_checksum(bytes, block));
    return page;
}

inline std::string make_pages(std::uint32_t first_block, std::size_t count)
{
    std::string pages;
    for (std::uint32_t i = 0; i < count; ++i) {
        pages += make_page(first_block + i, static_cast<char>('a' + i % 26));
    }
    return pages;
}

// A small data directory.
class DataDirectory {
public:
    const std::string& path() const { return directory_.path(); }
    void write(const std::string& name, std::string_view content) const
    {
        const std::string file = directory_ / name;
        std::filesystem::create_directories(parent_of(file));
        std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
        std::filesystem::permissions(file, std::filesystem::perms(0600));
    }
    void remove(const std::string& name) const { std::filesystem::remove(directory_ / name); }
    void resize(const std::string& name, std::uint64_t size) const
    {
        std::filesystem::resize_file(directory_ / name, size);
    }
    void set_mtime(const std::string& name, UnixSeconds time) const
    {
        const std::array<timespec, 2> times = {timespec{time, 0}, timespec{time, 0}};
        REQUIRE(::utimensat(AT_FDCWD, (directory_ / name).c_str(), times.data(), 0) == 0);
    }
    // What any cluster has: the version, pg_control, one relation.
    void write_cluster() const
    {
        write("PG_VERSION", "15\n");
        write("base/1/PG_VERSION", "15\n");
        write("base/1/1259", make_pages(0, 3));
        write("postgresql.conf", "port = 5432\n");
        write("global/pg_control", as_text(make_control_bytes()));
    }

private:
    static std::string parent_of(const std::string& file)
    {
        return std::filesystem::path(file).parent_path().string();
    }

    TemporaryDirectory directory_;
};

// The bytes of a file of a backup, checked as a restore checks them. `reader` is one of all its
// packs.
inline std::string read_backed_up(repository::PackReader& reader,
                                  const repository::Repository& repository,
                                  const repository::ManifestFile& file)
{
    std::string bytes;
    for (const repository::Extent& extent : file.extents) {
        bytes += as_text(reader.read(extent));
    }
    if (file.content != repository::ContentKind::paged) {
        REQUIRE((file.content == repository::ContentKind::empty ||
                 codec::xxh3_128(as_bytes(bytes)) == file.digest));
        return bytes;
    }
    const auto map = repository::decode_page_map(as_bytes(bytes), file.path);
    REQUIRE(map.is_dense);
    REQUIRE(std::uint64_t{map.file_pages} * map.page_size == file.size);
    std::string pages;
    for (const repository::Extent& extent : map.extents) {
        pages += as_text(reader.read(extent));
    }
    REQUIRE(pages.size() == file.size);
    bool are_hashes_right = true;
    for (std::size_t i = 0; i < map.hashes.size(); ++i) {
        const ByteView page = as_bytes(pages).subspan(i * map.page_size, map.page_size);
        are_hashes_right =
            are_hashes_right && codec::page_hash(page, repository.page_hash_key()) == map.hashes[i];
    }
    REQUIRE(are_hashes_right);
    return pages;
}

inline std::string read_backed_up(const repository::Repository& repository,
                                  const repository::Manifest& manifest,
                                  const repository::ManifestFile& file)
{
    repository::PackReader reader(repository, kStanza, manifest.packs);
    return read_backed_up(reader, repository, file);
}

inline const repository::ManifestFile* find_file(const repository::Manifest& manifest,
                                                 std::string_view path)
{
    const auto found = std::ranges::find(manifest.files, path, &repository::ManifestFile::path);
    return found == manifest.files.end() ? nullptr : &*found;
}

// One segment of WAL as the cluster writes it.
inline std::string make_segment(std::string_view record = "a record",
                                postgres::Timeline timeline = 1)
{
    WalBuilder wal(15, timeline);
    wal.append_text(record);
    const auto bytes = wal.segment(0);
    return std::string(as_text(bytes));
}
inline constexpr auto kSegmentName = "000000010000000000000003";

} // namespace pgstrata::test
