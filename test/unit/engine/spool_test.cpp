// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/engine/spool.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;

constexpr auto kWal = "000000010000000000000003";

struct SpoolRun {
    explicit SpoolRun(SpoolFolder folder = SpoolFolder::out)
        : spool(directory.path(), "main", folder)
    {
        spool.prepare();
    }
    void write(const std::string& name, std::string_view text) const
    {
        std::ofstream(spool.path(name), std::ios::binary | std::ios::trunc) << text;
    }

    TemporaryDirectory directory;
    Spool spool;
};

} // namespace

TEST_CASE("a spool makes its directory and leaves no probe in it", "[engine][spool]")
{
    const SpoolRun run;
    CHECK(run.spool.path() == run.directory / "archive/main/out");
    CHECK(fs::is_directory(run.spool.path()));
    CHECK(run.spool.names().empty());
    CHECK(Spool(run.directory.path(), "main", SpoolFolder::in).path() ==
          run.directory / "archive/main/in");
}

TEST_CASE("a spool that is not there is empty", "[engine][spool]")
{
    const TemporaryDirectory directory;
    const Spool spool(directory.path(), "main", SpoolFolder::out);
    CHECK(spool.names().empty());
    CHECK_FALSE(spool.read_stored(kWal));
    CHECK_FALSE(spool.read_error(kWal));
    CHECK_FALSE(spool.has_absent(kWal));
    CHECK_FALSE(spool.remove("x"));
    CHECK_NOTHROW(clear_spool(directory.path(), "main"));
    CHECK_THROWS_MATCHES(
        spool.write_stored(kWal, {"i", {}}), Error, HasCode(ErrorCode::file_missing));
}

TEST_CASE("a spool tells which WAL files have an error", "[engine][spool]")
{
    const SpoolRun run;
    run.write(std::string(kWal) + ".error", "45\nx");
    run.write("global.error", "45\nx");
    run.write("00000002.history.error", "45\nx");
    run.write("000000010000000000000004.ok", "i\n");

    CHECK(run.spool.failed() == std::vector<std::string>{kWal, "00000002.history"});
}

TEST_CASE("a stanza that is no directory name has no spool", "[engine][spool][bug-52]")
{
    const std::string stanza = GENERATE(as<std::string>(), "..", "a/b", "");
    CHECK_THROWS_MATCHES(
        Spool("/x", stanza, SpoolFolder::out), Error, HasCode(ErrorCode::parameter_invalid));
}

TEST_CASE("marks are read back as they were written", "[engine][spool][bug-26]")
{
    const SpoolRun run;
    run.spool.write_stored(kWal, {"1:2 3 4 place", std::nullopt});
    const auto plain = run.spool.read_stored(kWal);
    REQUIRE(plain);
    CHECK(plain->identity == "1:2 3 4 place");
    CHECK_FALSE(plain->warning);

    run.spool.write_stored(kWal, {"1:2 3 4 place", "two\nlines"});
    const auto warned = run.spool.read_stored(kWal);
    REQUIRE(warned);
    CHECK(warned->identity == "1:2 3 4 place");
    CHECK(warned->warning == "two\nlines");

    run.spool.write_error(kWal, Error(ErrorCode::archive_duplicate, "other contents", "look"));
    const auto error = run.spool.read_error(kWal);
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::archive_duplicate);
    CHECK(std::string(error->what()) == "other contents\nHINT: look");
    CHECK(run.spool.names() ==
          std::vector<std::string>{std::string(kWal) + ".error", std::string(kWal) + ".ok"});
}

TEST_CASE("a mark that somebody else made, or only half, says nothing", "[engine][spool][bug-26]")
{
    const SpoolRun run;
    run.write(std::string(kWal) + ".ok",
              GENERATE(as<std::string>(), "", "1:2 3", "\n", "\n0\nwarning"));
    CHECK_FALSE(run.spool.read_stored(kWal));
}

TEST_CASE("an error mark that makes no sense is still an error", "[engine][spool][bug-26]")
{
    const SpoolRun run;
    const auto [text, code] = GENERATE(table<std::string, ErrorCode>({
        {"62\nstopped", ErrorCode::stop},
        {"stopped", ErrorCode::runtime},
        {"1\nnot found", ErrorCode::runtime},
        {"0\nfine", ErrorCode::runtime},
        {"999\nx", ErrorCode::runtime},
        {"-62\nx", ErrorCode::runtime},
    }));
    CAPTURE(text);
    run.write(std::string(kWal) + ".error", text);
    REQUIRE(run.spool.read_error(kWal));
    CHECK(run.spool.read_error(kWal)->code() == code);
}

TEST_CASE("an error that is written again is another one", "[engine][spool][bug-26]")
{
    const SpoolRun run;
    const Error error(ErrorCode::crypto, "no key");
    CHECK(run.spool.error_identity(kWal).empty());
    const std::string name = GENERATE(as<std::string>(), kWal, "global");
    run.spool.write_error(name, error);
    const std::string first = run.spool.error_identity(kWal);
    CHECK_FALSE(first.empty());
    CHECK(run.spool.error_identity(kWal) == first);
    run.spool.write_error(name, error);
    CHECK(run.spool.error_identity(kWal) != first);
}

TEST_CASE("the error of a file goes before that of all", "[engine][spool]")
{
    const SpoolRun run;
    run.spool.write_error(Spool::kGlobal, Error(ErrorCode::crypto, "no key"));
    CHECK(run.spool.read_error(kWal)->code() == ErrorCode::crypto);
    run.spool.write_error(kWal, Error(ErrorCode::format, "short"));
    CHECK(run.spool.read_error(kWal)->code() == ErrorCode::format);
    run.spool.remove_errors(kWal);
    CHECK_FALSE(run.spool.read_error(kWal));
}

TEST_CASE("a spool that cannot be written names itself", "[engine][spool][bug-45]")
{
    if (::getuid() == 0) {
        return; // root may write anywhere
    }
    const SpoolRun run;
    fs::permissions(run.spool.path(), fs::perms(0500));
    CHECK_THROWS_MATCHES(run.spool.prepare(), Error, HasCode(ErrorCode::file_open));
    CHECK_THROWS_WITH(run.spool.prepare(), Catch::Contains("'spool-path'"));
    CHECK_THROWS_WITH(run.spool.write_absent(kWal), Catch::Contains(run.spool.path()));
    fs::permissions(run.spool.path(), fs::perms(0000));
    CHECK_THROWS_MATCHES(run.spool.names(), Error, HasCode(ErrorCode::path_open));
    CHECK_THROWS_MATCHES(run.spool.read_stored(kWal), Error, HasCode(ErrorCode::file_open));
    fs::permissions(run.spool.path(), fs::perms(0700));
}

TEST_CASE("the identity of a WAL file changes with everything that may change its contents",
          "[engine][spool][bug-26]")
{
    const TemporaryDirectory directory;
    const std::string path = directory / kWal;
    CHECK_FALSE(look_at_wal(path));
    std::ofstream(path) << "one";
    const auto before = look_at_wal(path);
    REQUIRE(before);
    CHECK(before->size == 3);
    CHECK(look_at_wal(path)->identity == before->identity);
    SECTION("written again, with the old time of change")
    {
        const auto time = fs::last_write_time(path);
        std::ofstream(path) << "two";
        fs::last_write_time(path, time);
    }
    SECTION("another file in its place")
    {
        fs::copy_file(path, directory / "copy");
        fs::rename(directory / "copy", path);
    }
    SECTION("another size")
    {
        fs::resize_file(path, 2);
    }
    CHECK(look_at_wal(path)->identity != before->identity);
}

TEST_CASE("a spool is cleared of everything but records of dropped WAL", "[engine][spool][bug-26]")
{
    const SpoolRun out;
    const Spool in(out.directory.path(), "main", SpoolFolder::in);
    in.prepare();
    in.write_text("000000010000000000000003-x", "queue");
    out.spool.write_stored(kWal, {"i", {}});
    out.spool.write_error("global", Error(ErrorCode::format, "x"));
    out.spool.write_text(std::string(kWal) + ".gap", "{}");
    const Spool other(out.directory.path(), "other", SpoolFolder::out);
    other.prepare();
    other.write_stored(kWal, {"i", {}});

    clear_spool(out.directory.path(), "main");

    CHECK(in.names().empty());
    CHECK(out.spool.names() == std::vector<std::string>{std::string(kWal) + ".gap"});
    CHECK(other.names().size() == 1);
}
