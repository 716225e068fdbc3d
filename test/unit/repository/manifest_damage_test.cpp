// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/manifest_sample.hpp"

#include "pgstrata/util/path.hpp"

#include <functional>
#include <random>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

// Reads records of no good will: the outcome is Error(format), or a manifest within its bounds.
bool decodes(const MemoryRepository& memory, ByteView raw)
{
    store_raw_manifest(memory, raw);
    try {
        const Manifest manifest = read_manifest(*memory.repository, kStanza, kLabel);
        for (const ManifestFile& file : manifest.files) {
            CHECK(is_safe_relative_path(file.path));
            for (const Extent& extent : file.extents) {
                CHECK(extent.pack < manifest.packs.size());
            }
        }
        return true;
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::format);
        return false;
    }
}

// Appends one record.
void add_record(Buffer& raw, std::uint8_t kind, const std::function<void(SerialWriter&)>& fill)
{
    Buffer record;
    SerialWriter fields(record);
    fields.u8(kind);
    fill(fields);
    SerialWriter out(raw);
    out.varint(record.size());
    out.raw(record);
}

// The records of a manifest without files, up to but without the end record.
Buffer records_without_end(const MemoryRepository& memory)
{
    Manifest manifest;
    manifest.header = sample_header();
    manifest.names = {"postgres"};
    write_manifest(*memory.repository, kStanza, manifest);
    Buffer raw = raw_manifest(memory);
    raw.resize(raw.size() - 3); // length, kind 9 and the number of files
    return raw;
}

struct Fault {
    const char* what;
    std::function<void(Manifest&)> make;
};

void check_refused(const std::vector<Fault>& faults)
{
    for (const Fault& fault : faults) {
        const MemoryRepository memory;
        Manifest manifest = sample_manifest();
        fault.make(manifest);
        write_manifest(*memory.repository, kStanza, manifest);
        INFO(fault.what);
        CHECK_THROWS_MATCHES(
            read_manifest(*memory.repository, kStanza, kLabel), Error, HasCode(ErrorCode::format));
    }
}

} // namespace

TEST_CASE("a manifest whose paths leave the data directory is refused",
          "[repository][manifest][bug-52]")
{
    std::vector<Fault> faults;
    for (const char* path : {"../x", "/etc/passwd", "a/../../x", "a//b", "a/", "..", "."}) {
        faults.push_back({path, [path](Manifest& m) { m.files = {sample_file(path, 3)}; }});
        faults.push_back({path, [path](Manifest& m) { m.directories[1].path = path; }});
        faults.push_back({path, [path](Manifest& m) { m.links[0].path = path; }});
    }
    faults.push_back({"no path", [](Manifest& m) { m.files = {sample_file("", 3)}; }});
    faults.push_back(
        {"NUL", [](Manifest& m) { m.files = {sample_file(std::string("a\0b", 3), 3)}; }});
    faults.push_back({"link at the root", [](Manifest& m) { m.links[0].path = ""; }});
    faults.push_back({"link to nothing", [](Manifest& m) { m.links[0].destination = ""; }});
    faults.push_back(
        {"link to NUL", [](Manifest& m) { m.links[0].destination = std::string("/x\0y", 4); }});
    faults.push_back(
        {"long path", [](Manifest& m) { m.files = {sample_file(std::string(5000, 'a'), 3)}; }});
    check_refused(faults);
}

TEST_CASE("a manifest that is not in order is refused", "[repository][manifest][bug-3]")
{
    check_refused({
        {"unsorted", [](Manifest& m) { std::swap(m.files[0], m.files[1]); }},
        {"twice", [](Manifest& m) { m.files.insert(m.files.begin(), m.files[0]); }},
    });
}

TEST_CASE("a manifest whose extents lie outside of their packs is refused",
          "[repository][manifest][bug-3][bug-54]")
{
    const auto extent = [](Manifest& m) -> Extent& { return m.files[0].extents[0]; };
    check_refused({
        {"unknown pack", [&](Manifest& m) { extent(m).pack = 2; }},
        {"no packs", [&](Manifest& m) { m.packs.clear(); }},
        {"behind the end", [&](Manifest& m) { extent(m).offset = 100001; }},
        {"over the end", [&](Manifest& m) { extent(m).offset = 99001; }},
        {"overflow", [&](Manifest& m) { extent(m).offset = ~std::uint64_t{0} - 10; }},
        {"position", [&](Manifest& m) { extent(m).position = codec::kFrameRawLimit + 1; }},
        {"over the frame", [&](Manifest& m) { extent(m).position = codec::kFrameRawLimit - 2; }},
        {"empty",
         [&](Manifest& m) {
             m.files[0].extents.push_back({0, 64, 1000, 0, 0});
         }},
        {"packs out of order", [&](Manifest& m) { std::swap(m.packs[0], m.packs[1]); }},
        {"pack label", [&](Manifest& m) { m.packs[0].name.label = "../../x"; }},
    });
}

TEST_CASE("a manifest whose sizes do not add up is refused", "[repository][manifest][bug-4]")
{
    check_refused({
        {"longer", [](Manifest& m) { ++m.files[0].size; }},
        {"shorter", [](Manifest& m) { --m.files[0].size; }},
        {"huge", [](Manifest& m) { m.files[0].size = ~std::uint64_t{0}; }},
        {"no extents", [](Manifest& m) { m.files[0].extents.clear(); }},
        {"empty with a size", [](Manifest& m) { m.files[3].size = 1; }},
        {"empty with extents", [](Manifest& m) { m.files[3].extents = m.files[0].extents; }},
        {"paged without map", [](Manifest& m) { m.files[1].extents.clear(); }},
        {"paged of no pages", [](Manifest& m) { m.files[1].size = 0; }},
        {"paged with half a page", [](Manifest& m) { m.files[1].size += 4096; }},
    });
}

TEST_CASE("a manifest with impossible values is refused", "[repository][manifest][bug-54]")
{
    check_refused({
        {"owner", [](Manifest& m) { m.files[0].user = 2; }},
        {"group", [](Manifest& m) { m.directories[0].group = 2; }},
        {"mode", [](Manifest& m) { m.files[0].mode = 010000; }},
        {"content", [](Manifest& m) { m.files[0].content = static_cast<ContentKind>(3); }},
        {"type of the label", [](Manifest& m) { m.header.type = BackupType::diff; }},
        {"unknown type", [](Manifest& m) { m.header.type = static_cast<BackupType>(3); }},
        {"a full's prior", [](Manifest& m) { m.header.prior = "20261120-020000F"; }},
        {"no page size", [](Manifest& m) { m.header.page_size = 0; }},
        {"odd page size", [](Manifest& m) { m.header.page_size = 12288; }},
        {"no segment size", [](Manifest& m) { m.header.segment_pages = 0; }},
        {"WAL segment size", [](Manifest& m) { m.header.wal_segment_size = 12345; }},
        {"WAL name", [](Manifest& m) { m.header.start_wal = "../../../etc/passwd00000"; }},
    });
}

TEST_CASE("records that are not as they must be are refused", "[repository][manifest][bug-54]")
{
    const MemoryRepository memory;
    Buffer raw = records_without_end(memory);
    const auto end = [&](std::uint64_t files, bool more = false) {
        add_record(raw, 9, [&](SerialWriter& out) {
            out.varint(files);
            if (more) {
                out.u8(0);
            }
        });
    };
    SECTION("no end") {}
    SECTION("files are missing")
    {
        end(1);
    }
    SECTION("an end with something behind it")
    {
        end(0, true);
    }
    SECTION("an end that is not the last")
    {
        end(0);
        end(0);
    }
    SECTION("an unknown kind")
    {
        add_record(raw, 10, [](SerialWriter&) {});
        end(0);
    }
    SECTION("kind zero")
    {
        add_record(raw, 0, [](SerialWriter&) {});
        end(0);
    }
    SECTION("a kind that comes too late")
    {
        add_record(raw, 4, [](SerialWriter& out) {
            out.text("base");
            out.varint(0700);
            out.varint(0);
            out.varint(0);
        });
        add_record(raw, 3, [](SerialWriter& out) { out.text("late"); });
        end(0);
    }
    SECTION("a record with something behind it")
    {
        add_record(raw, 7, [](SerialWriter& out) {
            out.varint(1);
            out.text("name");
            out.u8(0);
        });
        end(0);
    }
    SECTION("a record of no bytes")
    {
        SerialWriter(raw).varint(0);
        end(0);
    }
    SECTION("a record beyond all bounds")
    {
        SerialWriter(raw).varint(0xFFFFFFFF);
    }
    SECTION("a length without end")
    {
        raw.append(as_bytes("\xff\xff\xff\xff\xff\xff"));
    }
    SECTION("a length that is not in its shortest form")
    {
        raw.append(as_bytes(std::string_view("\x82\x00\x09\x00", 4)));
    }
    CHECK_FALSE(decodes(memory, raw));
}

TEST_CASE("a manifest begins with its only header", "[repository][manifest][bug-54]")
{
    const MemoryRepository memory;
    Buffer raw = records_without_end(memory);
    Buffer twice;
    SECTION("none")
    {
        add_record(twice, 3, [](SerialWriter& out) { out.text("postgres"); });
    }
    SECTION("two")
    {
        Manifest manifest;
        manifest.header = sample_header();
        const MemoryRepository other;
        write_manifest(*other.repository, kStanza, manifest);
        twice = raw_manifest(other);
        twice.resize(twice.size() - 3);
        twice.append(raw);
    }
    add_record(twice, 9, [](SerialWriter& out) { out.varint(0); });
    CHECK_FALSE(decodes(memory, twice));
}

TEST_CASE("counts in a file record take no memory beyond its bytes",
          "[repository][manifest][bug-54]")
{
    const MemoryRepository memory;
    Buffer raw = records_without_end(memory);
    const bool extents = GENERATE(false, true);
    add_record(raw, 8, [&](SerialWriter& out) {
        out.varint(0);
        out.text("file");
        out.varint(0);
        out.signed_varint(0);
        out.varint(0600);
        out.varint(0);
        out.varint(0);
        out.u8(0x10); // empty, damaged
        out.varint(extents ? 0xFFFFFFFFFFULL : 0);
        out.varint(0xFFFFFFFFFFULL);
    });
    CHECK_FALSE(decodes(memory, raw));
}

TEST_CASE("a manifest cut short at any byte is noticed", "[repository][manifest][bug-54][bug-2]")
{
    const MemoryRepository memory;
    write_manifest(*memory.repository, kStanza, sample_manifest());
    const Buffer object = memory.read(manifest_path(kStanza, kLabel));
    const Buffer raw = raw_manifest(memory);

    for (std::size_t size = 0; size < raw.size(); ++size) {
        CAPTURE(size);
        CHECK_FALSE(decodes(memory, raw.view().first(size)));
    }
    for (std::size_t size = 0; size < object.size(); ++size) {
        memory.replace(manifest_path(kStanza, kLabel), object.view().first(size));
        CAPTURE(size);
        CHECK_THROWS_AS(read_manifest(*memory.repository, kStanza, kLabel), Error);
    }
}

TEST_CASE("a changed byte in the object of a manifest is noticed",
          "[repository][manifest][bug-58][bug-51]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    write_manifest(*memory.repository, kStanza, sample_manifest());
    const std::string path = manifest_path(kStanza, kLabel);
    const std::size_t size = memory.read(path).size();
    for (std::size_t at = 0; at < size; ++at) {
        memory.flip(path, at, std::byte{0x10});
        CAPTURE(at);
        CHECK_THROWS_AS(read_manifest(*memory.repository, kStanza, kLabel), Error);
        memory.flip(path, at, std::byte{0x10});
    }
    CHECK_NOTHROW(read_manifest(*memory.repository, kStanza, kLabel));
}

TEST_CASE("damage that no checksum sees is refused or stays within bounds",
          "[repository][manifest][bug-54]")
{
    const MemoryRepository memory;
    write_manifest(*memory.repository, kStanza, sample_manifest());
    const Buffer good = raw_manifest(memory);
    std::size_t refused = 0;
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Buffer bytes;
            bytes.append(good);
            bytes.span()[at] ^= static_cast<std::byte>(1U << bit);
            CAPTURE(at, bit);
            refused += decodes(memory, bytes) ? 0U : 1U;
        }
    }
    CHECK(refused > good.size());
}

TEST_CASE("random bytes are no manifest", "[repository][manifest][bug-54]")
{
    const MemoryRepository memory;
    const Buffer head = records_without_end(memory);
    std::mt19937 random(11); // NOLINT(cert-msc51-cpp): the same bytes in every run
    for (int i = 0; i < 3000; ++i) {
        Buffer bytes;
        if (i % 2 == 0) {
            bytes.append(head);
        }
        const std::size_t begin = bytes.size();
        bytes.resize(begin + random() % 200);
        for (std::byte& byte : bytes.span().subspan(begin)) {
            byte = static_cast<std::byte>(random() % (i % 3 == 0 ? 256 : 12));
        }
        decodes(memory, bytes);
    }
}
