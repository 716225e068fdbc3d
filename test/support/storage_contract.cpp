// SPDX-License-Identifier: PostgreSQL
#include "support/storage_contract.hpp"

#include "support/matchers.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

namespace pgstrata::test {

using storage::EntryInfo;
using storage::EntryType;
using storage::Storage;
using storage::WriteMode;

namespace {

constexpr std::size_t kReadLimit = 1U << 20U;

void check_absence(Storage& store, const StorageTraits& traits)
{
    SECTION("what is not there is absent, not an error")
    {
        CHECK_FALSE(store.info("a"));
        CHECK_FALSE(store.info("a/b"));
        CHECK(names(store, "a").empty());
        CHECK(names(store, "").empty());
        CHECK_FALSE(store.remove("a"));
        CHECK_FALSE(store.remove("a/b"));
        CHECK_FALSE(store.remove_directory("a"));
        CHECK_THROWS_MATCHES(store.open("a"), Error, HasCode(ErrorCode::file_missing));
        CHECK_THROWS_MATCHES(store.open("a/b"), Error, HasCode(ErrorCode::file_missing));
    }
    SECTION("nothing is below a file, and a directory is not a file")
    {
        write_text(store, "a/b", "x");

        CHECK_FALSE(store.info("a/b/c"));
        CHECK(names(store, "a/b").empty());
        CHECK_FALSE(store.remove("a/b/c"));
        CHECK_THROWS_MATCHES(store.open("a/b/c"), Error, HasCode(ErrorCode::file_missing));
        CHECK_THROWS_MATCHES(store.open("a"), Error, HasCode(ErrorCode::file_missing));
        CHECK_FALSE(store.remove("a"));
        CHECK(read_text(store, "a/b") == "x");
    }
    SECTION("an empty directory can be removed, another cannot")
    {
        write_text(store, "a/b/c", "x");

        CHECK_FALSE(store.remove_directory("a/b"));
        CHECK(store.remove("a/b/c"));
        CHECK(store.remove_directory("a/b") == traits.has_directories);
        CHECK_FALSE(store.remove_directory("a/b"));
        CHECK_FALSE(store.info("a/b"));
    }
}

void check_writing(Storage& store)
{
    SECTION("a file is what was written to it, in as many pieces")
    {
        const auto file = store.create("a/b/c");
        file->write(as_bytes("one "));
        file->write({});
        file->write(as_bytes("two"));
        file->commit();

        CHECK(read_text(store, "a/b/c") == "one two");
    }
    SECTION("a file may be empty")
    {
        store.create("empty")->commit();

        CHECK(read_text(store, "empty").empty());
        CHECK(store.info("empty")->size == 0);
    }
    SECTION("nothing is to be seen before the commit [bug-42]")
    {
        const auto file = store.create("a");
        file->write(as_bytes("unfinished"));

        CHECK_FALSE(store.info("a"));
        CHECK(names(store, "").empty());
        CHECK_THROWS_MATCHES(store.open("a"), Error, HasCode(ErrorCode::file_missing));
    }
    SECTION("an abandoned write leaves no trace [bug-42]")
    {
        const auto mode =
            GENERATE(WriteMode::once, WriteMode::once_named_by_contents, WriteMode::replace);
        write_text(store, "old", "old");

        store.create("new", mode)->write(as_bytes("new"));
        store.create("old", mode)->write(as_bytes("new"));

        CHECK_FALSE(store.info("new"));
        CHECK(read_text(store, "old") == "old");
        CHECK(names(store, "") == "old");
    }
    SECTION("a taken name is not written over [bug-42]")
    {
        write_text(store, "a", "old");

        CHECK_THROWS_MATCHES(write_text(store, "a", "new"), Error, HasCode(ErrorCode::file_exists));
        CHECK(read_text(store, "a") == "old");
        CHECK(names(store, "") == "a");
    }
    SECTION("of two writers of one name the first to commit wins")
    {
        const auto first = store.create("a");
        const auto second = store.create("a");
        first->write(as_bytes("first"));
        second->write(as_bytes("second"));

        second->commit();

        CHECK_THROWS_MATCHES(first->commit(), Error, HasCode(ErrorCode::file_exists));
        CHECK(read_text(store, "a") == "second");
    }
    SECTION("replacing puts the new contents in place of the old")
    {
        write_text(store, "a", "old", WriteMode::replace);
        const auto opened_before = store.open("a");

        write_text(store, "a", "newer", WriteMode::replace);

        CHECK(read_text(store, "a") == "newer");
        CHECK(names(store, "") == "a");
        CHECK(opened_before->size() == 3);
        std::array<std::byte, 8> bytes{};
        CHECK(opened_before->read_at(0, bytes) == 3);
        CHECK(as_text(ByteView(bytes).first(3)) == "old");
    }
    SECTION("a finished file cannot be written to or committed again")
    {
        const auto file = store.create("a");
        file->commit();

        CHECK_THROWS_MATCHES(file->write(as_bytes("x")), Error, HasCode(ErrorCode::assertion));
        CHECK_THROWS_MATCHES(file->commit(), Error, HasCode(ErrorCode::assertion));
        CHECK(read_text(store, "a").empty());
    }
    SECTION("many files can be removed at once, missing ones too")
    {
        const std::vector<std::string> paths{"a", "b/c", "missing"};
        write_text(store, "a", "x");
        write_text(store, "b/c", "x");
        write_text(store, "b/d", "x");

        store.remove_all(paths);

        CHECK_FALSE(store.info("a"));
        CHECK(names(store, "b") == "d");
        CHECK_THROWS_MATCHES(store.remove_all(std::vector<std::string>{".."}),
                             Error,
                             HasCode(ErrorCode::parameter_invalid));
    }
    SECTION("making a file durable leaves it as it is")
    {
        write_text(store, "a/b", "x");

        store.make_durable("a/b");

        CHECK(read_text(store, "a/b") == "x");
        CHECK(names(store, "a") == "b");
    }
    SECTION("a removed name can be written again")
    {
        write_text(store, "a", "old");

        CHECK(store.remove("a"));
        CHECK_FALSE(store.remove("a"));
        write_text(store, "a", "new");

        CHECK(read_text(store, "a") == "new");
    }
}

void check_reading(Storage& store)
{
    SECTION("a file can be read at any place")
    {
        write_text(store, "a", "0123456789");
        const auto source = store.open("a");
        std::array<std::byte, 4> bytes{};

        CHECK(source->size() == 10);
        CHECK(source->read_at(3, bytes) == 4);
        CHECK(as_text(bytes) == "3456");
        CHECK(source->read_at(8, bytes) == 2);
        CHECK(as_text(ByteView(bytes).first(2)) == "89");
        CHECK(source->read_at(10, bytes) == 0);
        CHECK(source->read_at(UINT64_MAX, bytes) == 0);
        CHECK(source->read_at(0, {}) == 0);
    }
    SECTION("a file larger than expected is not read")
    {
        write_text(store, "a", "0123456789");

        CHECK(as_text(storage::read_file(store, "a", 10)) == "0123456789");
        CHECK_THROWS_MATCHES(storage::read_file(store, "a", 9), Error, HasCode(ErrorCode::format));
    }
    SECTION("an open file outlives its name")
    {
        write_text(store, "a", "kept");
        const auto source = store.open("a");
        store.remove("a");
        std::array<std::byte, 4> bytes{};

        CHECK(source->read_at(0, bytes) == 4);
        CHECK(as_text(bytes) == "kept");
    }
}

void check_listing(Storage& store)
{
    SECTION("entries are told with type, size and time")
    {
        const auto before = now_seconds();
        write_text(store, "a/b", "12345");

        const auto file = store.info("a/b");
        const auto directory = store.info("a");
        const auto root = store.info("");
        REQUIRE(file);
        REQUIRE(directory);
        REQUIRE(root);
        CHECK(file->name == "b");
        CHECK(file->type == EntryType::file);
        CHECK(file->size == 5);
        CHECK(file->mtime >= before - 2);
        CHECK(file->mtime <= now_seconds() + 2);
        CHECK(directory->name == "a");
        CHECK(directory->type == EntryType::directory);
        CHECK(directory->size == 0);
        CHECK(root->type == EntryType::directory);
    }
    SECTION("a listing is in byte order of the names")
    {
        for (const auto* path : {"d/b", "d/a.c", "d/a/x", "d/B", "d/\xc3\xa4", "d/a-", "e"}) {
            write_text(store, path, "");
        }

        CHECK(names(store, "d") == "B a/ a- a.c b \xc3\xa4");
        CHECK(names(store, "") == "d/ e");
    }
    SECTION("a listing of some gives those whose names begin so")
    {
        for (const auto* path : {"d/ab-1", "d/ab-2", "d/abc/x", "d/a", "d/b", "ab"}) {
            write_text(store, path, "");
        }
        const auto some = [&](std::string_view directory, std::string_view beginning) {
            std::string found;
            store.list_some(directory, beginning, [&](const EntryInfo& entry) {
                found += entry.name + (entry.type == EntryType::directory ? "/ " : " ");
            });
            return found;
        };
        CHECK(some("d", "ab") == "ab-1 ab-2 abc/ ");
        CHECK(some("d", "") == "a ab-1 ab-2 abc/ b ");
        CHECK(some("d", "x").empty());
        CHECK(some("nowhere", "ab").empty());
    }
    SECTION("a recursive listing gives files with their paths, depth first")
    {
        for (const auto* path : {"d/b/2", "d/b/1", "d/a", "d/c/x/y", "dd"}) {
            write_text(store, path, "");
        }
        std::vector<std::string> paths;

        storage::list_recursively(
            store, "d", [&](const EntryInfo& entry) { paths.push_back(entry.name); });
        CHECK(paths == std::vector<std::string>{"d/a", "d/b/1", "d/b/2", "d/c/x/y"});

        paths.clear();
        storage::list_recursively(
            store, "", [&](const EntryInfo& entry) { paths.push_back(entry.name); });
        CHECK(paths == std::vector<std::string>{"d/a", "d/b/1", "d/b/2", "d/c/x/y", "dd"});
    }
    SECTION("a visitor may use the storage and may throw")
    {
        write_text(store, "a", "x");
        write_text(store, "b", "x");

        store.list("", [&](const EntryInfo& entry) { CHECK(store.remove(entry.name)); });
        CHECK(names(store, "").empty());

        write_text(store, "a", "x");
        unsigned visits = 0;
        CHECK_THROWS_MATCHES(store.list("",
                                        [&](const EntryInfo&) {
                                            ++visits;
                                            raise(ErrorCode::file_read, "mine");
                                        }),
                             Error,
                             HasCode(ErrorCode::file_read));
        CHECK(visits == 1);
    }
}

void check_paths(Storage& store, const StorageTraits& traits)
{
    SECTION("a path that could leave the root is refused [bug-52]")
    {
        const std::string path = GENERATE(as<std::string>{},
                                          "..",
                                          ".",
                                          "/etc/passwd",
                                          "a/../b",
                                          "a/./b",
                                          "a//b",
                                          "a/",
                                          std::string("a\0b", 3));
        const HasCode refused(ErrorCode::parameter_invalid);

        CHECK_THROWS_MATCHES(store.info(path), Error, refused);
        CHECK_THROWS_MATCHES(store.list(path, [](const EntryInfo&) {}), Error, refused);
        CHECK_THROWS_MATCHES(store.open(path), Error, refused);
        CHECK_THROWS_MATCHES(store.create(path), Error, refused);
        CHECK_THROWS_MATCHES(store.make_durable(path), Error, refused);
        CHECK_THROWS_MATCHES(store.remove(path), Error, refused);
        CHECK_THROWS_MATCHES(store.remove_directory(path), Error, refused);
    }
    SECTION("the root is not a file and stays")
    {
        const HasCode refused(ErrorCode::parameter_invalid);

        CHECK_THROWS_MATCHES(store.open(""), Error, refused);
        CHECK_THROWS_MATCHES(store.create(""), Error, refused);
        CHECK_THROWS_MATCHES(store.remove(""), Error, refused);
        CHECK_THROWS_MATCHES(store.remove_directory(""), Error, refused);
    }
    SECTION("names may hold any other bytes [bug-6]")
    {
        const std::string name =
            std::string(" a=b\\[#]\n\x01..%2f") + (traits.has_any_names ? "\xff" : "");
        write_text(store, "x/" + name, "odd");

        CHECK(read_text(store, "x/" + name) == "odd");
        CHECK(names(store, "x") == name);
        CHECK(store.remove("x/" + name));
    }
}

void check_threads(Storage& store)
{
    SECTION("many threads may write below directories that are not there yet")
    {
        std::vector<std::thread> threads;
        std::atomic<unsigned> committed = 0;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&, i] {
                for (int j = 0; j < 10; ++j) {
                    const std::string number = std::to_string(j);
                    write_text(store, "d" + number + "/e/f" + std::to_string(i), number);
                    try {
                        write_text(store, "d" + number + "/same", number);
                        ++committed;
                    } catch (const Error&) {
                        // Another thread was first: that is what is counted.
                    }
                }
            });
        }
        for (auto& thread : threads) {
            thread.join();
        }

        CHECK(committed == 10);
        CHECK(names(store, "d7") == "e/ same");
        CHECK(names(store, "d7/e") == "f0 f1 f2 f3");
    }
}

} // namespace

void write_text(Storage& storage, const std::string& path, const std::string& text, WriteMode mode)
{
    storage::write_file(storage, path, as_bytes(text), mode);
}

std::string read_text(const Storage& storage, const std::string& path)
{
    return std::string(as_text(storage::read_file(storage, path, kReadLimit)));
}

std::string names(const Storage& storage, const std::string& directory)
{
    std::string result;
    storage.list(directory, [&](const EntryInfo& entry) {
        result += result.empty() ? "" : " ";
        result += entry.name;
        result += entry.type == EntryType::directory ? "/" : "";
    });
    return result;
}

void check_storage_contract(const std::function<StorageUnderTest()>& make_empty,
                            StorageTraits traits)
{
    const StorageUnderTest subject = make_empty();
    Storage& store = *subject.storage;
    check_absence(store, traits);
    check_writing(store);
    check_reading(store);
    check_listing(store);
    check_paths(store, traits);
    check_threads(store);
}

} // namespace pgstrata::test
