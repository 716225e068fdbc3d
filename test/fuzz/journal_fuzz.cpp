// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/file_pages.hpp"
#include "pgstrata/repository/journal.hpp"
#include "pgstrata/storage/memory.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;

namespace {

constexpr auto kStanza = "demo";
constexpr auto kLabel = "20261121-020000F_20261121-030000I";

// Pack 0, with one frame of two pages.
void write_pack(const Repository& repository)
{
    PackSet set(repository, kStanza, kLabel, 1U << 20U);
    PackWriter writer(set);
    const std::string pages(16384, 'p');
    writer.append(
        {as_bytes(pages), static_cast<std::uint32_t>(pages.size()), codec::FrameCodec::none});
    writer.finish();
}

void check_extents(const DurableWork& work, const std::vector<Extent>& extents)
{
    for (const Extent& extent : extents) {
        test::require(extent.pack == 0 && extent.size != 0);
        test::require(extent.offset + extent.length <= work.packs().at(0).size);
        test::require(extent.position + extent.size <= codec::kFrameRawLimit);
    }
}

void look_up(const DurableWork& work)
{
    for (const std::uint64_t size : {10U, 16384U}) {
        if (const auto file = work.find_file("base/1/1", size, {})) {
            test::require(file->size == size);
            check_extents(work, file->extents);
        }
    }
    const std::vector<PageMap> pieces = work.find_pages("base/1/2");
    for (const PageMap& piece : pieces) {
        test::require(piece.page_size == work.header()->page_size);
        check_extents(work, piece.extents);
    }
    test::survives([&] {
        const FilePages pages(pieces, "a file");
        test::require(pages.count() == pieces.at(0).file_pages);
    });
}

} // namespace

// The input are the records, in a container without a fault. Whatever they are, there is an answer.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    log::configure({.console = log::Level::off});
    const std::string path = journal_path(kStanza, kLabel, 0);
    const auto storage = storage::make_memory_storage();
    const auto repository = Repository::open_or_create(*storage, {});
    write_pack(*repository);
    const auto file = storage->create(path);
    codec::write_object(
        *file, {codec::ObjectKind::journal, path}, {}, test::input_bytes(data, size), nullptr);
    file->commit();
    const DurableWork work(*repository, kStanza, kLabel, 1);
    test::require(work.header().has_value() == !work.packs().empty());
    look_up(work);
    return 0;
}
