// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/stream.hpp"

#include <string>

namespace pgstrata::engine {

// A file that arrives at `destination`, under a name of its own until it is whole: the server looks
// at the name only and must never see half of one. What a crash has left under that name is taken
// over; a process that is still at work under it, perhaps for a server that is gone, is left alone,
// since what one of the two writes must not be put in place by the other. The server syncs what it
// keeps by itself. One thread at a time.
class ArrivingFile final : public Sink {
public:
    explicit ArrivingFile(const std::string& destination);
    ~ArrivingFile() override;

    int fd() const noexcept { return file_.get(); }
    const std::string& path() const noexcept { return path_; }
    void write(ByteView bytes) override { write_fully(file_.get(), bytes, path_); }

    // Replaces the destination. Throws Error(file_move).
    void place();

private:
    std::string destination_;
    std::string path_;
    FileDescriptor file_;
};

} // namespace pgstrata::engine
