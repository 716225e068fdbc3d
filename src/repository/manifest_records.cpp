// SPDX-License-Identifier: PostgreSQL
#include "repository/manifest_records.hpp"

#include "pgstrata/util/error.hpp"

namespace pgstrata::repository {

namespace {

constexpr std::size_t kRecordLimit = 256U << 20U;
constexpr int kManifestLevel = 3;

} // namespace

RecordWriter::RecordWriter(codec::ObjectWriter& out) : out_(out), compressor_(kManifestLevel) {}

void RecordWriter::add_record()
{
    SerialWriter(pending_).varint(record_.size());
    pending_.append(record_);
    if (pending_.size() >= codec::kFrameRawLimit) {
        flush_whole_frames();
    }
}

void RecordWriter::finish()
{
    flush_whole_frames();
    if (!pending_.empty()) {
        out_.append(codec::make_frame_body(pending_, &compressor_, scratch_));
    }
    out_.finish();
}

void RecordWriter::flush_whole_frames()
{
    std::size_t done = 0;
    while (pending_.size() - done >= codec::kFrameRawLimit) {
        const ByteView frame = pending_.view().subspan(done, codec::kFrameRawLimit);
        out_.append(codec::make_frame_body(frame, &compressor_, scratch_));
        done += frame.size();
    }
    pending_.drop_front(done);
}

ByteView RecordReader::next()
{
    std::uint64_t size = 0;
    while (!take_length(size)) {
        refill();
    }
    while (pending_.size() - position_ < size) {
        refill();
    }
    const ByteView record = pending_.view().subspan(position_, size);
    position_ += size;
    return record;
}

void RecordReader::expect_end()
{
    if (position_ != pending_.size() || in_.next(frame_)) {
        raise(ErrorCode::format, "{} is invalid: there are bytes after its end", what_);
    }
}

// A varint may be cut by a frame's border: then it is read again when more is there.
bool RecordReader::take_length(std::uint64_t& size)
{
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 5 && position_ + i < pending_.size(); ++i) {
        const auto byte = std::to_integer<std::uint64_t>(pending_.view()[position_ + i]);
        value |= (byte & 0x7FU) << (7 * i);
        if ((byte & 0x80U) == 0) {
            if (value == 0 || value > kRecordLimit || byte == 0) {
                raise(ErrorCode::format, "{} is invalid: a record of {} bytes", what_, value);
            }
            position_ += i + 1;
            size = value;
            return true;
        }
    }
    if (pending_.size() - position_ >= 5) {
        raise(ErrorCode::format, "{} is invalid: a record's length is too long", what_);
    }
    return false;
}

void RecordReader::refill()
{
    pending_.drop_front(position_);
    position_ = 0;
    if (!in_.next(frame_)) {
        raise(ErrorCode::format, "{} is invalid: it ends too early", what_);
    }
    pending_.append(frame_);
}

} // namespace pgstrata::repository
