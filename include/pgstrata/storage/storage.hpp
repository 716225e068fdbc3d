// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/stream.hpp"
#include "pgstrata/util/time.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pgstrata::storage {

enum class EntryType : std::uint8_t { file, directory, link, special };

struct EntryInfo {
    std::string name; // the last part of the path
    EntryType type = EntryType::file;
    std::uint64_t size = 0; // bytes; 0 unless a file
    UnixSeconds mtime = 0;
    std::string destination; // of a link
};

// What happens when the name is taken.
enum class WriteMode : std::uint8_t {
    once, // commit() throws Error(file_exists) and leaves what is there: the rule of the repository
    once_named_by_contents, // the same, of a name that can hold nothing else: a store that would
                            // have to be asked first whether it is taken may write it once more
    replace, // the new contents take the place of the old at once (leases and local files only)
};

// A file being written. Nothing is visible under its name until commit() returns; one destroyed
// without it leaves no trace. commit() makes the data and the name durable. One thread at a time.
class PendingFile : public Sink {
public:
    virtual void commit() = 0;
};

// A tree of files somewhere. Paths are relative to its root ("" is the root itself), and a path
// that is not is_safe_relative_path() is refused with Error(parameter_invalid). All functions may
// be called from any thread. `const Storage&` is a read-only handle. Failures throw Error with the
// path in the message.
class Storage : NonCopyable {
public:
    using Visitor = std::function<void(const EntryInfo&)>;

    virtual ~Storage() = default;

    // Where the root is, for messages: "/var/lib/pgbackrest", "memory".
    virtual std::string location() const = 0;
    // Whether list() costs about as much as opening a file does: then one listing more is worth a
    // doubt less. A store that answers each by a request, which takes its time and may be charged
    // for, says no.
    virtual bool is_listing_cheap() const noexcept = 0;
    // Absence is an answer, not an error: nullopt when nothing is at `path`. Links are not
    // followed.
    virtual std::optional<EntryInfo> info(std::string_view path) const = 0;
    // Visits the entries directly in `directory` in byte order of their names; none when it is
    // missing. A listing that cannot be completed throws and visits nothing. Unfinished writes are
    // not visited.
    virtual void list(std::string_view directory, const Visitor& visit) const = 0;
    // The same for the entries whose names begin with `beginning`: a store that can look for them
    // sends no others.
    virtual void
    list_some(std::string_view directory, std::string_view beginning, const Visitor& visit) const;
    // Throws Error(file_missing) when there is no such file. The source sees the file as it was
    // opened.
    virtual std::unique_ptr<RandomSource> open(std::string_view path) const = 0;
    // Missing parents are made. Throws when the file cannot be begun.
    virtual std::unique_ptr<PendingFile> create(std::string_view path,
                                                WriteMode mode = WriteMode::once) = 0;
    // Returns when the name of a file that is there is durable: whoever wrote it may have died
    // before its commit() came to that, or be about to. Nothing to do where a name is durable as
    // soon as it is seen.
    virtual void make_durable(std::string_view path) = 0;
    // Removes a file; returns whether there was one. Removal is durable when it returns.
    virtual bool remove(std::string_view path) = 0;
    // Removes files, many in one request where the store can; one that is missing is as good as
    // removed. In no order. Throws when any of them is left, naming one; a store that refuses to
    // remove some is asked for all the others first.
    virtual void remove_all(std::span<const std::string> paths);
    // Removes an empty directory; false when there is none or it is not empty. Stores without
    // directories always answer false.
    virtual bool remove_directory(std::string_view path) = 0;
};

// The whole of a file of at most `limit` bytes. Throws Error(file_missing) or, when larger,
// Error(format).
Buffer read_file(const Storage& storage, std::string_view path, std::size_t limit);
// create, write, commit.
void write_file(Storage& storage,
                std::string_view path,
                ByteView bytes,
                WriteMode mode = WriteMode::once);
// Visits every file and link below `directory`, depth first, with the path relative to the root in
// EntryInfo::name.
void list_recursively(const Storage& storage,
                      std::string_view directory,
                      const Storage::Visitor& visit);

} // namespace pgstrata::storage
