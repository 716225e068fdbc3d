// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/posix_directory.hpp"

#include <string>
#include <string_view>

namespace pgstrata::storage {

inline constexpr std::string_view kTemporarySuffix = ".pgstrata.tmp";

// How an unfinished file is kept. `named` also stands in where the filesystem has no nameless
// files.
enum class Unfinished : std::uint8_t { nameless, named };

// A name that goes away with its owner unless it is released.
class TemporaryName : NonCopyable {
public:
    explicit TemporaryName(const FileDescriptor& directory) : directory_(directory) {}
    ~TemporaryName();

    const char* get() const noexcept { return name_.c_str(); }
    bool is_set() const noexcept { return !name_.empty(); }
    void set(std::string name) { name_ = std::move(name); }
    void release() noexcept { name_.clear(); }

private:
    const FileDescriptor& directory_;
    std::string name_;
};

class PosixPendingFile final : public PendingFile {
public:
    PosixPendingFile(const PosixDirectories& directories,
                     std::string_view path,
                     WriteMode mode,
                     Unfinished unfinished);

    void write(ByteView bytes) override;
    void commit() override;

private:
    enum class State : std::uint8_t { writing, failed, committed };

    bool open_nameless();
    void open_named();
    void start_writeback();
    void publish();
    void publish_once();
    void link_nameless();

    const PosixDirectories& directories_;
    std::string path_; // for messages
    std::string name_; // within directory_
    FileDescriptor directory_;
    TemporaryName temporary_name_; // not set while nameless
    FileDescriptor file_;
    WriteMode mode_;
    State state_ = State::writing;
    std::uint64_t written_ = 0;
    std::uint64_t writeback_started_ = 0;
};

// make_posix_storage() with a choice, so that both ways can be tested on one filesystem.
std::unique_ptr<Storage> make_posix_storage(PosixOptions options, Unfinished unfinished);

} // namespace pgstrata::storage
