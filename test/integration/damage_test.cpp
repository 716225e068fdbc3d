// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>
#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <xxhash.h>
#pragma GCC diagnostic pop

#include <cstring>
#include <filesystem>

// Whatever happened to a repository, what comes out of it is right or an error.

using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;

// One site with a backup and an archived segment for all tests of this file that only read it; each
// damages a copy of the repository.
struct Patient {
    explicit Patient(const std::string& cipher) : site({.cipher = cipher})
    {
        site.cluster().sql(
            "CREATE TABLE t AS SELECT md5(i::text) FROM generate_series(1, 20000) AS i");
        site.backup();
        segment = site.cluster().archive_current_segment();
    }

    std::string copy_repository()
    {
        auto copy = site.new_path("copy");
        run_or_throw({"/bin/cp", "-a", site.repository(), copy});
        return copy;
    }
    int restore(const std::string& repository)
    {
        return site
            .run({"restore",
                  "--repo1-path=" + repository,
                  "--pg1-path=" + site.new_path("target"),
                  "--type=default"})
            .status;
    }
    int archive_get(const std::string& repository)
    {
        return site
            .run({"archive-get", segment, site.new_path("got"), "--repo1-path=" + repository})
            .status;
    }
    // The one or the first object whose path contains `part`.
    std::string object(const std::string& part) { return site.objects(part).at(0); }

    Site site;
    std::string segment;
};

Patient& patient(const std::string& cipher)
{
    static std::map<std::string, std::unique_ptr<Patient>> patients;
    auto& result = patients[cipher];
    if (result == nullptr) {
        result = std::make_unique<Patient>(cipher);
    }
    return *result;
}

// Where damage of the object must show.
enum class Reader { restore, archive_get };

struct Kind {
    std::string part; // of the object's path
    Reader reader;
};

// What there is one of; copies_test.cpp has the rest.
std::vector<Kind> kinds(Patient& of)
{
    return {{"/pack/", Reader::restore},
            {"/manifest", Reader::restore},
            {"/backup.json", Reader::restore},
            {of.segment + "-", Reader::archive_get}};
}

void check_is_noticed(Patient& of, Reader reader, const std::string& repository)
{
    if (reader == Reader::restore) {
        CHECK(of.restore(repository) != 0);
    } else {
        CHECK(of.archive_get(repository) > 125);
    }
}

} // namespace

TEST_CASE("a wrong passphrase is told apart from damage", "[damage][bug-56]")
{
    auto& of = patient("aes-256-gcm");
    const ProcessOptions wrong{.environment = {{"PGSTRATA_REPO1_CIPHER_PASS", "wrong"}}};

    const auto result = of.site.run({"restore", "--pg1-path=" + of.site.new_path("target")}, wrong);

    CHECK(result.status == 95);
    CHECK(result.text().find(kGeneratedSecret) == std::string::npos);
    CHECK(of.site.run({"backup"}, wrong).status == 95);
}

TEST_CASE("a sound repository passes", "[damage][bug-60]")
{
    const auto* cipher = GENERATE("", "aes-256-gcm");
    CAPTURE(cipher);
    auto& of = patient(cipher);
    const auto copy = of.copy_repository();

    CHECK(of.restore(copy) == 0);
    CHECK(of.archive_get(copy) == 0);
}

TEST_CASE("a flipped byte in any kind of object is noticed", "[damage][bug-58]")
{
    const auto* cipher = GENERATE("", "aes-256-gcm");
    auto& of = patient(cipher);
    for (const auto& kind : kinds(of)) {
        for (const double place : {0.0, 0.5, 0.999}) {
            CAPTURE(cipher, kind.part, place);
            const auto copy = of.copy_repository();
            const auto file = copy + "/" + of.object(kind.part);
            flip_byte(file,
                      static_cast<std::int64_t>(place * static_cast<double>(fs::file_size(file))));

            check_is_noticed(of, kind.reader, copy);
            fs::remove_all(copy);
        }
    }
}

TEST_CASE("a truncated or missing object is noticed", "[damage][bug-17]")
{
    const auto* cipher = GENERATE("", "aes-256-gcm");
    auto& of = patient(cipher);
    for (const auto& kind : kinds(of)) {
        for (const std::string how : {"empty", "half", "last byte", "missing"}) {
            // A segment that is not there is absent, and a backup without summary does not exist.
            if (how == "missing" &&
                (kind.reader == Reader::archive_get || kind.part == "/backup.json")) {
                continue;
            }
            CAPTURE(cipher, kind.part, how);
            const auto copy = of.copy_repository();
            const auto file = copy + "/" + of.object(kind.part);
            const auto size = fs::file_size(file);
            fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
            if (how == "missing") {
                fs::remove(file);
            } else {
                fs::resize_file(file, how == "empty" ? 0 : how == "half" ? size / 2 : size - 1);
            }

            check_is_noticed(of, kind.reader, copy);
            fs::remove_all(copy);
        }
    }
}

TEST_CASE("a pack of nonsense, or without the right to read it, ends the restore with its error",
          "[damage][bug-45][bug-58]")
{
    const auto& [is_readable, status] = GENERATE(table<bool, int>({{true, 26}, {false, 41}}));
    Site site;
    site.cluster().sql(
        "CREATE TABLE large AS SELECT md5(i::text) FROM generate_series(1, 50000) AS i");
    site.backup();
    // pg_control is in its own pack, so that the damage is met when files are placed.
    site.backup({"--type=incr"});
    const auto file = site.repository() + "/" + site.objects("F/pack/").at(0);
    const auto size = fs::file_size(file);
    fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
    if (is_readable) {
        write_file(file, std::string(size, 'x'));
    } else {
        fs::permissions(file, fs::perms::none);
    }

    const auto result = site.run({"restore", "--pg1-path=" + site.new_path("target")});
    CHECK(result.status == status);
    CHECK_FALSE(result.text().empty());
}

TEST_CASE("objects do not open under each other's names", "[damage][bug-51]")
{
    auto& of = patient("aes-256-gcm");
    const auto second = of.site.cluster().archive_current_segment();
    const auto copy = of.copy_repository();

    fs::copy_file(copy + "/" + of.object(second + "-"),
                  copy + "/" + of.object(of.segment + "-"),
                  fs::copy_options::overwrite_existing);

    CHECK(of.archive_get(copy) > 125);
}

TEST_CASE("a plain object in an encrypted repository is refused", "[damage][bug-51]")
{
    auto& sealed = patient("aes-256-gcm");
    auto& plain = patient("");
    const auto copy = sealed.copy_repository();

    fs::copy_file(plain.site.repository() + "/" + plain.object(plain.segment + "-"),
                  copy + "/" + sealed.object(sealed.segment + "-"),
                  fs::copy_options::overwrite_existing);

    CHECK(sealed.archive_get(copy) > 125);
}

TEST_CASE("an object of a newer format is refused as such", "[damage][bug-48]")
{
    auto& of = patient("");
    const auto copy = of.copy_repository();
    const auto file = copy + "/" + of.object("/manifest");
    auto text = read_file(file);
    // The version stands at 16, XXH3-64 of the first 56 bytes at 56; pgstrata-repository(5).
    ++text.at(16);
    const std::uint64_t digest = XXH3_64bits(text.data(), 56);
    std::memcpy(text.data() + 56, &digest, sizeof digest);
    fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
    write_file(file, text);

    CHECK(of.restore(copy) == 46);
}
