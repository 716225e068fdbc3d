// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/util/error.hpp"

#include <cerrno>

using namespace pgstrata;
using pgstrata::test::HasCode;

namespace {

template <typename Action>
Error caught(const Action& action)
{
    try {
        action();
    } catch (const Error& error) {
        return error;
    }
    throw std::logic_error("nothing was thrown");
}

} // namespace

TEST_CASE("an error keeps its code, message and hint on its way up", "[util][error]")
{
    const Error error(ErrorCode::file_missing, "unable to open 'a'", "look for it");

    const Error outer = error.within("unable to read the manifest");

    CHECK(outer.code() == ErrorCode::file_missing);
    CHECK(outer.exit_status() == 55);
    CHECK(std::string(outer.what()) == "unable to read the manifest: unable to open 'a'");
    CHECK(outer.hint() == "look for it");
}

TEST_CASE("the first hint stays, since it knows most", "[util][error]")
{
    const Error bare(ErrorCode::crypto, "wrong passphrase");
    const Error hinted = bare.with_hint("first");

    CHECK(hinted.hint() == "first");
    CHECK(hinted.with_hint("second").hint() == "first");
    CHECK(std::string(hinted.what()) == "wrong passphrase");
    CHECK(hinted.code() == ErrorCode::crypto);
}

TEST_CASE("the numbers that scripts know do not change", "[util][error]")
{
    const auto [code, status] = GENERATE(table<ErrorCode, int>({
        {ErrorCode::assertion, 25},
        {ErrorCode::checksum, 26},
        {ErrorCode::config, 27},
        {ErrorCode::format, 29},
        {ErrorCode::option_invalid, 31},
        {ErrorCode::option_required, 37},
        {ErrorCode::pg_running, 38},
        {ErrorCode::path_not_empty, 40},
        {ErrorCode::file_open, 41},
        {ErrorCode::file_read, 42},
        {ErrorCode::archive_mismatch, 44},
        {ErrorCode::archive_duplicate, 45},
        {ErrorCode::lock_acquire, 50},
        {ErrorCode::file_missing, 55},
        {ErrorCode::db_connect, 56},
        {ErrorCode::stop, 62},
        {ErrorCode::terminated, 63},
        {ErrorCode::file_write, 64},
        {ErrorCode::backup_set_invalid, 75},
        {ErrorCode::archive_timeout, 82},
        {ErrorCode::crypto, 95},
        {ErrorCode::json_format, 99},
        {ErrorCode::repo_invalid, 103},
        {ErrorCode::command, 104},
        {ErrorCode::unhandled, 125},
    }));
    CHECK(Error(code, "x").exit_status() == status);
}

TEST_CASE("raise formats its message", "[util][error]")
{
    const Error error =
        caught([] { raise(ErrorCode::format, "'{}' has {} bytes", "manifest", 3); });
    CHECK(error.code() == ErrorCode::format);
    CHECK(std::string(error.what()) == "'manifest' has 3 bytes");
    CHECK(error.hint().empty());
}

TEST_CASE("an error of the kernel names action, number and text", "[util][error]")
{
    const Error error =
        caught([] { raise_errno(ErrorCode::file_open, ENOENT, "open '/no/where'"); });
    CHECK(error.code() == ErrorCode::file_open);
    CHECK(std::string(error.what()) == "unable to open '/no/where': [2] No such file or directory");
    CHECK(error.hint().empty());
}

TEST_CASE("a full disk and missing rights come with a hint", "[util][error][bug-45]")
{
    const auto [number, word] = GENERATE(table<int, std::string>(
        {{ENOSPC, "space"}, {EDQUOT, "quota"}, {EACCES, "user"}, {EPERM, "user"}}));
    const int error_number = number;
    const Error error =
        caught([&] { raise_errno(ErrorCode::file_write, error_number, "write 'x'"); });
    CHECK(error.hint().find(word) != std::string::npos);
}

TEST_CASE("what the host has too little of is no fault of the file", "[util][error][bug-58]")
{
    const auto [number, code, word] = GENERATE(table<int, ErrorCode, std::string>({
        {EMFILE, ErrorCode::kernel, "ulimit -n"},
        {ENFILE, ErrorCode::kernel, "file-max"},
        {ENOMEM, ErrorCode::memory, "memory"},
        {ENOBUFS, ErrorCode::memory, "memory"},
    }));
    const int error_number = number;
    const Error error =
        caught([&] { raise_errno(ErrorCode::file_open, error_number, "open 'x'"); });
    CHECK(error.code() == code);
    CHECK(error.hint().find(word) != std::string::npos);
    CHECK(std::string(error.what()).starts_with("unable to open 'x': ["));
}
