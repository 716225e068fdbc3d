// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/path.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace std::string_literals;

TEST_CASE("no path that could leave its root is safe", "[util][path][bug-52]")
{
    const std::string path = GENERATE(""s,
                                      "/"s,
                                      "/etc/passwd"s,
                                      "//a"s,
                                      "."s,
                                      ".."s,
                                      "./a"s,
                                      "../a"s,
                                      "a/.."s,
                                      "a/."s,
                                      "a/../b"s,
                                      "a/./b"s,
                                      "a//b"s,
                                      "a/"s,
                                      "a/b/"s,
                                      "a/b/../../../etc"s,
                                      "a\0b"s,
                                      "\0"s,
                                      "a/\0"s);
    CAPTURE(path);
    CHECK_FALSE(is_safe_relative_path(path));
}

TEST_CASE("odd names that stay below their root are safe", "[util][path][bug-6]")
{
    const std::string path = GENERATE("a"s,
                                      "a/b/c"s,
                                      "..."s,
                                      "..a"s,
                                      "a.."s,
                                      ".hidden"s,
                                      "a/...b"s,
                                      "~root"s,
                                      "a b"s,
                                      " "s,
                                      "a\\..\\b"s,
                                      "-rf"s,
                                      "=[#]"s,
                                      "line\nbreak"s,
                                      "\xff\xfe"s,
                                      "C:"s,
                                      "base/1/16384"s);
    CAPTURE(path);
    CHECK(is_safe_relative_path(path));
}

TEST_CASE("paths are joined with one slash", "[util][path]")
{
    const auto [left, right, joined] = GENERATE(table<std::string, std::string, std::string>({
        {"a", "b", "a/b"},
        {"a/", "b", "a/b"},
        {"/", "b", "/b"},
        {"", "b", "b"},
        {"a", "", "a"},
        {"", "", ""},
    }));
    CHECK(join_path(left, right) == joined);
}

TEST_CASE("a path is taken apart at its last slash", "[util][path]")
{
    const auto [path, parent, name] = GENERATE(table<std::string, std::string, std::string>({
        {"/a/b/c", "/a/b", "c"},
        {"/a", "/", "a"},
        {"a/b", "a", "b"},
        {"a", "", "a"},
        {"/", "/", ""},
        {"", "", ""},
    }));
    CAPTURE(path);
    CHECK(parent_path(path) == parent);
    CHECK(file_name(path) == name);
}

TEST_CASE("a directory holds itself and what is below, not what begins alike",
          "[util][path][bug-5]")
{
    const auto [path, directory, within] = GENERATE(table<std::string, std::string, bool>({
        {"/data", "/data", true},
        {"/data/base/1", "/data", true},
        {"/data/base/12699", "/data/base/1", false},
        {"/database", "/data", false},
        {"/dat", "/data", false},
        {"/", "/data", false},
        {"/anything", "/", true},
        {"/", "/", true},
    }));
    CAPTURE(path, directory);
    CHECK(is_within(path, directory) == within);
}

TEST_CASE("a normal path has no detours", "[util][path]")
{
    const auto [path, normal] = GENERATE(table<std::string, std::string>({
        {"/a/b", "/a/b"},
        {"/a//b/", "/a/b"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/../../a", "/a"},
        {"/a/b/../../..", "/"},
        {"/", "/"},
        {"///", "/"},
        {"/a/...", "/a/..."},
    }));
    CAPTURE(path);
    CHECK(normal_path(path) == normal);
}
