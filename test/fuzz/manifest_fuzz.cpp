// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/storage/memory.hpp"
#include "pgstrata/util/path.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;

namespace {

constexpr auto kStanza = "demo";
constexpr auto kLabel = "20261121-020000F";

void check(const Manifest& manifest)
{
    test::require(manifest.header.page_size != 0 && manifest.header.wal_segment_size != 0);
    for (const ManifestDirectory& directory : manifest.directories) {
        test::require(directory.path.empty() || is_safe_relative_path(directory.path));
        test::require(directory.user < manifest.names.size());
    }
    for (const ManifestLink& link : manifest.links) {
        test::require(is_safe_relative_path(link.path));
    }
    for (const ManifestFile& file : manifest.files) {
        test::require(is_safe_relative_path(file.path) && file.group < manifest.names.size());
        for (const Extent& extent : file.extents) {
            test::require(extent.pack < manifest.packs.size() &&
                          extent.position + extent.size <= codec::kFrameRawLimit);
        }
    }
}

} // namespace

// The input are the records, in a container without a fault. What is read is written again: it
// must then be read as the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string path = manifest_path(kStanza, kLabel);
    const auto storage = storage::make_memory_storage();
    const auto repository = Repository::open_or_create(*storage, {});
    const auto file = storage->create(path);
    codec::write_object(
        *file, {codec::ObjectKind::manifest, path}, {}, test::input_bytes(data, size), nullptr);
    file->commit();
    test::survives([&] {
        const Manifest manifest = read_manifest(*repository, kStanza, kLabel);
        check(manifest);
        storage->remove(path);
        write_manifest(*repository, kStanza, manifest);
        const Manifest again = read_manifest(*repository, kStanza, kLabel);
        test::require(again.files.size() == manifest.files.size());
    });
    return 0;
}
