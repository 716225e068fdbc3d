// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::engine {

enum class SpoolFolder : std::uint8_t { in, out };

// One WAL file as it lies on the disk: another file under the same name, or the same written again,
// has another identity.
struct WalOnDisk {
    std::uint64_t size = 0;
    std::string identity;
};
// nullopt when there is none.
std::optional<WalOnDisk> look_at_wal(const std::string& path);

// {spool}/archive/{stanza}/out or in: where the processes in the background leave word for those
// that PostgreSQL waits for. Everything in it may be lost or removed at any time: that costs work,
// never WAL. Failures throw Error with the path in the message. Any thread.
//
//   <wal>.ok      out: an identity, a line feed, and after that maybe a warning; the WAL file of
//                 this identity is stored in every repository, or dropped as the warning says. It
//                 says nothing about any other file of the name.
//                 in: empty; every repository was asked and none has the file.
//   <wal>.error   "code\nmessage": what kept this file from being stored or fetched
//   global.error  the same for all files
//   <wal>.gap     out: dropped, and not every repository has a record of that yet
//
// A reader sees a mark whole or not at all.
class Spool {
public:
    static constexpr std::string_view kGlobal = "global";
    static constexpr std::string_view kOkSuffix = ".ok";
    static constexpr std::string_view kGapSuffix = ".gap";

    Spool(const std::string& root, const std::string& stanza, SpoolFolder folder);

    const std::string& path() const noexcept { return path_; }
    std::string path(std::string_view name) const;
    // Makes the directory and proves that it takes files.
    void prepare() const;
    // The names of all files, ascending; none when the directory is missing.
    std::vector<std::string> names() const;
    // False when there was none.
    bool remove(std::string_view name) const;

    struct Stored {
        std::string identity;
        std::optional<std::string> warning;
    };
    // nullopt when there is no mark, or none that can be believed.
    std::optional<Stored> read_stored(std::string_view wal) const;
    void write_stored(std::string_view wal, const Stored& stored) const;
    // The mark that every repository was asked in vain.
    bool has_absent(std::string_view wal) const;
    void write_absent(std::string_view wal) const;
    // The error of this file, else the one of all.
    std::optional<Error> read_error(std::string_view wal) const;
    // The WAL files that have an error of their own, ascending.
    std::vector<std::string> failed() const;
    // Changes whenever a mark that read_error() reads is written; empty when there is none.
    std::string error_identity(std::string_view wal) const;
    void write_error(std::string_view wal, const Error& error) const;
    // Of this file and of all.
    void remove_errors(std::string_view wal) const;

    std::string read_text(std::string_view name) const; // bounded; "" when it is not there
    void write_text(std::string_view name, std::string_view text) const;

private:
    std::string path_;
};

// Empties both folders of a stanza, but for records of dropped WAL: the cluster that they are about
// is being replaced.
void clear_spool(const std::string& root, const std::string& stanza);

} // namespace pgstrata::engine
