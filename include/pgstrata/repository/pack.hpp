// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/object.hpp"
#include "pgstrata/repository/repository.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace pgstrata::repository {

// A pack by name. A manifest's places refer to packs by their position in its own table of these,
// so a later backup can point into an earlier one's packs.
struct PackName {
    std::string label;
    std::uint32_t number = 0;
    auto operator<=>(const PackName&) const = default;
};

// A stretch of raw bytes inside a frame of a pack: where a file, a part of it or a page map is.
struct Extent {
    std::uint32_t pack = 0;     // position in the manifest's table of packs
    std::uint64_t offset = 0;   // of the frame in the pack
    std::uint32_t length = 0;   // of the frame in the pack
    std::uint32_t position = 0; // in the frame's raw bytes
    std::uint32_t size = 0;     // raw bytes
    bool operator==(const Extent&) const = default;
};

struct PackInfo {
    PackName name;
    std::uint64_t size = 0; // bytes in the repository
};

// Numbers the packs of one backup and remembers the finished ones. Any thread.
class PackSet : NonCopyable {
public:
    PackSet(const Repository& repository,
            std::string stanza,
            std::string label,
            std::uint64_t pack_size);

    const Repository& repository() const noexcept { return repository_; }
    const std::string& stanza() const noexcept { return stanza_; }
    const std::string& label() const noexcept { return label_; }
    std::uint64_t pack_size() const noexcept { return pack_size_; }
    std::uint32_t take_number() noexcept { return next_++; }
    void add_finished(std::uint32_t number, std::uint64_t size);
    // Sorted by number; pack k of the backup stands at position k of the manifest's table. Call it
    // when all writers have finished.
    std::vector<PackInfo> finished() const;

private:
    const Repository& repository_;
    std::string stanza_;
    std::string label_;
    std::uint64_t pack_size_;
    std::atomic<std::uint32_t> next_ = 0;
    mutable std::mutex finished_mutex_;
    std::vector<PackInfo> finished_;
};

// Appends frames to packs of a set, one pack at a time, and begins the next when one is full. One
// thread at a time, one writer a worker.
class PackWriter : NonCopyable {
public:
    explicit PackWriter(PackSet& set) : set_(set) {}
    // The extent covers the whole frame.
    Extent append(const codec::FrameBody& frame);
    // Makes the open pack durable. A writer destroyed without it leaves its open pack unwritten.
    void finish();

private:
    PackSet& set_;
    std::uint32_t number_ = 0;
    std::unique_ptr<storage::PendingFile> file_;
    std::unique_ptr<codec::ObjectWriter> writer_;
};

// Reads frames of the packs of one manifest. Keeps the frame read last and a few open packs. One
// thread at a time.
class PackReader : NonCopyable {
public:
    // `repository` and `packs` must outlive the reader.
    PackReader(const Repository& repository,
               std::string stanza,
               const std::vector<PackInfo>& packs);
    ~PackReader();
    // The raw bytes of an extent, valid until the next call. Throws Error(format) when the frame is
    // too short for it, and what ObjectReader throws for damage.
    ByteView read(const Extent& extent);

private:
    struct OpenPack;
    OpenPack& open(std::uint32_t pack);

    const Repository& repository_;
    std::string stanza_;
    const std::vector<PackInfo>& packs_;
    std::map<std::uint32_t, std::unique_ptr<OpenPack>> open_;
    Extent frame_;
    Buffer raw_;
};

} // namespace pgstrata::repository
