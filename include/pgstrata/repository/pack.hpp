// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/object.hpp"
#include "pgstrata/repository/repository.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace pgstrata::repository {

// A pack by name.
struct PackName {
    std::string label;
    std::uint32_t number = 0;
    auto operator<=>(const PackName&) const = default;
};

// A stretch of raw bytes inside a frame of a pack: where a file, a part of it or a page map is.
struct Extent {
    // In a manifest the position in its table of packs; in a page map the number of a pack of the
    // backup that holds the map.
    std::uint32_t pack = 0;
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

// The position of a pack in a table that is sorted by name.
std::optional<std::uint32_t> find_pack(const std::vector<PackInfo>& packs, const PackName& name);

// Numbers the packs of one backup and remembers the finished ones. Any thread.
class PackSet : NonCopyable {
public:
    PackSet(const Repository& repository,
            std::string stanza,
            std::string label,
            std::uint64_t pack_size);
    // Takes over packs that an earlier try of the same backup has finished, before any is written;
    // new ones are numbered after all that the tries before have left in the repository.
    void take_over(const std::vector<PackInfo>& packs);

    const Repository& repository() const noexcept { return repository_; }
    const std::string& stanza() const noexcept { return stanza_; }
    const std::string& label() const noexcept { return label_; }
    std::uint64_t pack_size() const noexcept { return pack_size_; }
    std::uint32_t take_number() noexcept { return next_++; }
    void add_finished(std::uint32_t number, std::uint64_t size);
    // Sorted by number. Call it when all writers have finished.
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

// Appends frames to packs of a set, one pack at a time. One thread at a time, one writer a worker.
class PackWriter : NonCopyable {
public:
    explicit PackWriter(PackSet& set) : set_(set) {}
    // Opens a pack when none is. The extent covers the whole frame, its pack is the number in the
    // backup.
    Extent append(const codec::FrameBody& frame);
    // Whether the open pack is as large as it should get, or has been open for so long that a crash
    // would cost too much.
    bool is_full() const;
    // Makes the open pack durable and gives its number; nullopt when none is open. A writer
    // destroyed without it leaves its open pack unwritten.
    std::optional<std::uint32_t> finish();

private:
    PackSet& set_;
    std::uint32_t number_ = 0;
    std::uint64_t opened_ = 0; // monotonic milliseconds
    std::unique_ptr<storage::PendingFile> file_;
    std::unique_ptr<codec::ObjectWriter> writer_;
};

// Reads frames of the packs of one manifest. Keeps a few open packs and the frames read last, so
// that files whose parts lie in several backups do not read a frame for each part. One thread at a
// time.
class PackReader : NonCopyable {
public:
    // `repository` and `packs` must outlive the reader. Frames of up to `cache_size` raw bytes are
    // kept beside the one read last.
    PackReader(const Repository& repository,
               std::string stanza,
               const std::vector<PackInfo>& packs,
               std::size_t cache_size = std::size_t{16} << 20U);
    ~PackReader();
    // The raw bytes of an extent, valid until the next call. Throws Error(format) when the frame is
    // too short for it, and what ObjectReader throws for damage.
    ByteView read(const Extent& extent);
    // Whether the frame is kept, so that it is not read again.
    bool holds(const Extent& extent) const;
    // Says that the frames from that of `first` to that of `last`, which lies behind it in the same
    // pack, are read next or after those of the call before. See RandomSource::expect().
    void expect(const Extent& first, const Extent& last);
    // RandomSource::read_over() of a pack.
    std::uint64_t read_over(std::uint32_t pack);

private:
    struct OpenPack;
    struct Frame;
    OpenPack& open(std::uint32_t pack);
    Frame& read_frame(const Extent& extent);
    std::unique_ptr<Frame> take_room();

    const Repository& repository_;
    std::string stanza_;
    const std::vector<PackInfo>& packs_;
    std::size_t cache_size_;
    std::map<std::uint32_t, std::unique_ptr<OpenPack>> open_;
    std::vector<std::unique_ptr<Frame>> frames_; // the one used last is the last
    std::size_t cached_ = 0;                     // raw bytes in frames_
};

} // namespace pgstrata::repository
