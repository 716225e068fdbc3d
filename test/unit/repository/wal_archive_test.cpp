// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/hex.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

constexpr std::size_t kLimit = 1U << 24U;

WalObjectName object_name(const std::string& wal_name, std::string_view content, bool compressed)
{
    return {wal_name, wal_digest(as_bytes(content)), compressed};
}

std::string object_path(const WalObjectName& name)
{
    return wal_directory(kStanza, kArchiveId, name.wal_name) + "/" + to_string(name);
}

// Stores a WAL file as archive-push does.
WalObjectName put(const MemoryRepository& memory,
                  const std::string& wal_name,
                  std::string_view content,
                  bool compressed = true)
{
    const WalObjectName name = object_name(wal_name, content, compressed);
    Buffer object;
    BufferSink sink(object);
    if (!compressed && memory.repository->cipher().type == codec::CipherType::none) {
        sink.write(as_bytes(content));
    } else {
        const bool is_wal = wal_name.size() == 24 || wal_name.ends_with(".partial");
        codec::ZstdCompressor compressor(1);
        codec::write_object(
            sink,
            {is_wal ? codec::ObjectKind::wal : codec::ObjectKind::archive_file, object_path(name)},
            memory.repository->cipher(),
            as_bytes(content),
            compressed ? &compressor : nullptr);
    }
    storage::write_file(*memory.storage, object_path(name), object);
    return name;
}

std::string read(const MemoryRepository& memory, const WalObjectName& name)
{
    return std::string(as_text(read_wal(*memory.repository, kStanza, kArchiveId, name, kLimit)));
}

std::vector<std::string> segments_from(const MemoryRepository& memory, std::string_view from)
{
    std::vector<std::string> names;
    list_segments(*memory.repository, kStanza, kArchiveId, from, [&](const std::string& name) {
        names.push_back(name);
        return true;
    });
    return names;
}

} // namespace

TEST_CASE("a WAL file comes back in every form", "[repository][wal]")
{
    const MemoryRepository memory(
        GENERATE(CipherSetting(),
                 gcm_setting(),
                 CipherSetting{codec::CipherType::aes_256_cbc, kGeneratedPassphrase}));
    const bool compressed = GENERATE(false, true);
    const std::string wal_name = GENERATE("000000010000000000000002",
                                          "000000010000000000000002.partial",
                                          "000000010000000000000002.00000028.backup",
                                          "0000000A.history");
    const std::string content = GENERATE(std::string("content"), std::string());
    const WalObjectName name = put(memory, wal_name, content, compressed);

    const auto found = find_wal(*memory.repository, kStanza, kArchiveId, wal_name);

    REQUIRE(found.size() == 1);
    CHECK(to_string(found[0]) == to_string(name));
    CHECK(read(memory, found[0]) == content);
}

TEST_CASE("only the objects of the very file are found", "[repository][wal][bug-18]")
{
    const MemoryRepository memory;
    const std::string segment = "000000010000000000000002";
    put(memory, segment, "one");
    put(memory, segment, "two");
    put(memory, segment + ".partial", "three");
    put(memory, "000000010000000000000003", "four");
    storage::write_file(
        *memory.storage, "archive/demo/15-1/0000000100000000/" + segment + "-junk", as_bytes("x"));
    CHECK(find_wal(*memory.repository, kStanza, kArchiveId, segment).size() == 2);
    CHECK(find_wal(*memory.repository, kStanza, kArchiveId, segment + ".partial").size() == 1);
    CHECK(find_wal(*memory.repository, kStanza, kArchiveId, "000000010000000000000004").empty());
    CHECK(find_wal(*memory.repository, kStanza, {15, 2}, segment).empty());
}

TEST_CASE("a WAL file whose bytes are not those of its name is refused",
          "[repository][wal][bug-17][bug-58]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    const bool compressed = GENERATE(false, true);
    const WalObjectName name = put(memory, "000000010000000000000002", "content", compressed);
    const std::string path = object_path(name);
    const std::size_t size = memory.read(path).size();
    for (std::size_t at = 0; at < size; ++at) {
        memory.flip(path, at);
        CAPTURE(at);
        CHECK_THROWS_AS(read(memory, name), Error);
        memory.flip(path, at);
    }
    const Buffer whole = memory.read(path);
    for (std::size_t cut = 0; cut < size; ++cut) {
        memory.replace(path, whole.view().first(cut));
        CAPTURE(cut);
        CHECK_THROWS_AS(read(memory, name), Error);
    }
}

TEST_CASE("a good object under the name of other contents is refused", "[repository][wal][bug-51]")
{
    const MemoryRepository memory;
    const WalObjectName name = put(memory, "000000010000000000000002", "content");
    WalObjectName other = name;
    other.digest = std::string(40, '0');
    memory.replace(object_path(other), memory.read(object_path(name)));
    CHECK_THROWS_MATCHES(read(memory, other), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("the stored bytes of a segment are proved without looking at what they give",
          "[repository][wal][bug-58]")
{
    const MemoryRepository memory(
        GENERATE(CipherSetting(),
                 gcm_setting(),
                 CipherSetting{codec::CipherType::aes_256_cbc, kGeneratedPassphrase}));
    Cluster cluster;
    cluster.id = kArchiveId;
    cluster.wal_segment_size = 1U << 20U;
    const std::string content(cluster.wal_segment_size, 'w'); // no WAL at all
    const WalObjectName name = put(memory, "000000010000000000000002", content);
    const auto check = [&] { check_stored_wal(*memory.repository, kStanza, cluster, name); };

    CHECK_NOTHROW(check());
    CHECK_THROWS_MATCHES(check_wal(*memory.repository, kStanza, cluster, name),
                         Error,
                         HasCode(ErrorCode::archive_mismatch));
    SECTION("another size")
    {
        cluster.wal_segment_size = 1U << 21U;
        CHECK_THROWS_MATCHES(check(), Error, HasCode(ErrorCode::file_invalid));
    }
    SECTION("a flipped byte")
    {
        Buffer bytes = storage::read_file(*memory.storage, object_path(name), kLimit);
        bytes.span()[bytes.size() / 2] ^= std::byte{1};
        storage::write_file(*memory.storage, object_path(name), bytes, storage::WriteMode::replace);
        CHECK_THROWS_AS(check(), Error);
    }
    SECTION("not there")
    {
        memory.storage->remove(object_path(name));
        CHECK_THROWS_MATCHES(check(), Error, HasCode(ErrorCode::file_missing));
    }
}

TEST_CASE("WAL that is stored as it is has nothing to prove it but the digest in its name",
          "[repository][wal][bug-58]")
{
    const MemoryRepository memory;
    Cluster cluster;
    cluster.id = kArchiveId;
    cluster.wal_segment_size = 1U << 20U;
    const WalObjectName name =
        put(memory, "000000010000000000000002", std::string(1U << 20U, 'w'), false);
    storage::write_file(*memory.storage,
                        object_path(name),
                        as_bytes(std::string(1U << 20U, 'v')),
                        storage::WriteMode::replace);

    CHECK_THROWS_MATCHES(check_stored_wal(*memory.repository, kStanza, cluster, name),
                         Error,
                         HasCode(ErrorCode::checksum));
}

TEST_CASE("a WAL file larger than it may be is refused", "[repository][wal][bug-54]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    const WalObjectName name =
        put(memory, "000000010000000000000002", std::string(1000, 'x'), GENERATE(false, true));
    CHECK_NOTHROW(read_wal(*memory.repository, kStanza, kArchiveId, name, 1000));
    CHECK_THROWS_MATCHES(read_wal(*memory.repository, kStanza, kArchiveId, name, 999),
                         Error,
                         HasCode(ErrorCode::format));
}

TEST_CASE("segments are listed in order, each once, over all directories",
          "[repository][wal][bug-21][bug-22]")
{
    const MemoryRepository memory;
    const std::vector<std::string> names = {"0000000100000000000000FE",
                                            "0000000100000000000000FF",
                                            "000000010000000100000000",
                                            "0000000A0000000100000001"};
    for (const std::string& name : names) {
        put(memory, name, name);
    }
    put(memory, names[1], "other contents");
    put(memory, names[2] + ".partial", "x");
    put(memory, "0000000A.history", "1\t0/1000\tx\n");
    storage::write_file(*memory.storage, "archive/demo/15-1/cluster.json", as_bytes("x"));
    storage::write_file(*memory.storage, "archive/demo/15-1/junk/x", as_bytes("x"));

    CHECK(segments_from(memory, "") == names);
    CHECK(segments_from(memory, names[1]) ==
          std::vector<std::string>(names.begin() + 1, names.end()));
    CHECK(segments_from(memory, "0000000A0000000100000002").empty());
    const WalRange range = wal_range(*memory.repository, kStanza, kArchiveId);
    CHECK(range.first == names.front());
    CHECK(range.last == names.back());
}

TEST_CASE("a listing of segments stops when it is told to", "[repository][wal]")
{
    const MemoryRepository memory;
    put(memory, "000000010000000000000001", "1");
    put(memory, "000000010000000000000002", "2");
    put(memory, "000000010000000100000000", "3");
    int visited = 0;
    list_segments(*memory.repository, kStanza, kArchiveId, "", [&](const std::string&) {
        return ++visited < 2;
    });
    CHECK(visited == 2);
}

TEST_CASE("an empty archive has no range", "[repository][wal]")
{
    const MemoryRepository memory;
    storage::write_file(*memory.storage, "archive/demo/15-1/0000000100000000/junk", as_bytes("x"));
    const WalRange range = wal_range(*memory.repository, kStanza, kArchiveId);
    CHECK(range.first.empty());
    CHECK(range.last.empty());
}

TEST_CASE("timelines are those with a history file, counted in hex", "[repository][wal][bug-21]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    put(memory, "00000010.history", "1\t0/3000000\treason\n2\t0/5000000\treason\n", false);
    put(memory, "00000002.history", "1\t0/3000000\treason\n", false);
    put(memory, "000000030000000000000001", "x");

    CHECK(list_timelines(*memory.repository, kStanza, kArchiveId) ==
          std::vector<postgres::Timeline>{2, 16});
    const auto history = read_timeline_history(*memory.repository, kStanza, kArchiveId, 16);
    REQUIRE(history);
    REQUIRE(history->size() == 2);
    CHECK((*history)[1].timeline == 2);
    CHECK((*history)[1].switch_point.value == 0x5000000);
    CHECK_FALSE(read_timeline_history(*memory.repository, kStanza, kArchiveId, 10));
}

TEST_CASE("two different histories of a timeline are an error", "[repository][wal][bug-18]")
{
    const MemoryRepository memory;
    put(memory, "00000002.history", "1\t0/3000000\treason\n", false);
    put(memory, "00000002.history", "1\t0/4000000\treason\n", false);
    CHECK_THROWS_MATCHES(read_timeline_history(*memory.repository, kStanza, kArchiveId, 2),
                         Error,
                         HasCode(ErrorCode::archive_duplicate));
}

TEST_CASE("all segments of many directories are listed in order, each once", "[repository][wal]")
{
    const MemoryRepository memory;
    std::vector<std::string> expected;
    for (unsigned log = 0; log < 40; ++log) {
        for (const unsigned number : {0xAU, 0xFFU}) {
            expected.push_back(fmt::format("00000001{:08X}{:08X}", log, number));
            put(memory, expected.back(), "a");
        }
    }
    put(memory, expected.front(), "other contents");
    put(memory, expected.front() + ".partial", "a");
    put(memory, "00000002.history", "1\t0/3000000\tx\n");

    CHECK(list_all_segments(*memory.repository, kStanza, kArchiveId) == expected);
    CHECK(list_all_segments(*memory.repository, kStanza, {15, 2}).empty());
}
