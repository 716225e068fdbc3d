// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/object.hpp"
#include "pgstrata/codec/zstd.hpp"
#include "pgstrata/util/serial.hpp"

#include <cstdint>
#include <string>

// The raw bytes of a manifest are a series of records: varint length, u8 kind, fields. Records run
// on from frame to frame.
namespace pgstrata::repository {

inline constexpr std::uint8_t kManifestVersion = 1;
inline constexpr std::uint8_t kContentMask = 0x0F;
inline constexpr std::uint8_t kDamagedFlag = 0x10;

enum class RecordKind : std::uint8_t {
    none = 0,
    header = 1,
    pack,
    name,
    directory,
    link,
    database,
    tablespace,
    file,
    end,
};

// Collects records and cuts them into frames.
class RecordWriter : NonCopyable {
public:
    explicit RecordWriter(codec::ObjectWriter& out);

    template <typename Fill>
    void record(RecordKind kind, const Fill& fill)
    {
        record_.clear();
        SerialWriter fields(record_);
        fields.u8(static_cast<std::uint8_t>(kind));
        fill(fields);
        add_record();
    }

    void finish();

private:
    void add_record();
    void flush_whole_frames();

    codec::ObjectWriter& out_;
    codec::ZstdCompressor compressor_;
    Buffer record_;
    Buffer pending_;
    Buffer scratch_;
};

// Gives record after record; holds one frame and one record at a time.
class RecordReader : NonCopyable {
public:
    RecordReader(codec::ObjectReader& in, std::string what) : in_(in), what_(std::move(what)) {}

    // The bytes of the next record, valid until the next call. Throws Error(format) when there is
    // none.
    ByteView next();
    // Nothing may follow the last record.
    void expect_end();
    const std::string& what() const noexcept { return what_; }

private:
    bool take_length(std::uint64_t& size);
    void refill();

    codec::ObjectReader& in_;
    std::string what_;
    Buffer frame_;
    Buffer pending_;
    std::size_t position_ = 0;
};

} // namespace pgstrata::repository
