// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/spool.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

// archive-push in the background: all WAL files that wait for the archive, several at once, with a
// mark in the spool for each.
namespace pgstrata::engine {

// A WAL file that PostgreSQL wants archived.
struct ReadyFile {
    std::string name;
    std::uint64_t size = 0;
    std::string identity; // see mark_identity()
};

// What a mark has to say to be believed for this file. `place` stands for the repositories that it
// has to be stored in: a mark that was made for others says nothing.
std::string mark_identity(const WalOnDisk& file, const std::string& place);

// The files with a .ready in {wal_directory}/archive_status, by name. A .ready without its file is
// left to PostgreSQL. Throws Error(path_open) when there is no such directory.
std::vector<ReadyFile> list_ready(const std::string& wal_directory, const std::string& place);

struct PushPlan {
    std::vector<ReadyFile> push;     // in the order in which PostgreSQL asks for them
    std::vector<std::string> forget; // WAL files whose mark says nothing any more
};
// What is left to do, by the marks (WAL file to identity).
PushPlan plan_push(const std::vector<ReadyFile>& ready,
                   const std::map<std::string, std::string>& stored);

// Whether so much waits that it is to be dropped.
bool is_queue_full(const std::vector<ReadyFile>& waiting, std::optional<std::uint64_t> limit);

// The marks of a folder, by WAL file; an empty identity for what cannot be believed.
std::map<std::string, std::string> read_marks(const Spool& spool);
// Removes what a process that is gone left, but for what is stored and records of dropped WAL. The
// caller holds the archive lock.
void remove_leftovers(const Spool& spool);

struct PushRun {
    const Spool& spool;
    std::string wal_directory;
    std::string place;
    std::uint64_t batch_size = 0; // bytes; at least one file is pushed before looking again
    std::optional<std::uint64_t> queue_limit;
    std::uint64_t look_milliseconds = 500; // how often the limit is looked at during a batch
    std::size_t workers = 1;
    // Stores one file in every repository or throws; returns a warning or "". Called by workers,
    // each with its share of threads.
    std::function<std::string(const ReadyFile&, std::size_t threads)> push;
    // Leaves a durable record that this file is dropped. PostgreSQL gets rid of the file next, so
    // this must need nothing that may be away. Two processes may do so at the same time.
    std::function<void(const ReadyFile&)> drop;
    // Called before each file; ends the run by throwing.
    std::function<void()> check;
};

struct PushCount {
    std::size_t pushed = 0;
    std::size_t dropped = 0;
    std::size_t failed = 0;
};
// Goes on until nothing waits or one file fails: after that nothing more is begun. Failures of
// single files are marked, not thrown.
PushCount push_waiting(const PushRun& run);
// Drops what waits when that is more than the limit, as a run does, for who is kept waiting by one
// that is stuck. Returns how many files that are.
std::size_t drop_overflow(const PushRun& run);

} // namespace pgstrata::engine
