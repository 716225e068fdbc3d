// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/crc32c.hpp"
#include "pgstrata/postgres/version.hpp"
#include "pgstrata/postgres/wal_segment.hpp"

#include <algorithm>
#include <vector>

namespace pgstrata::test {

// Writes WAL as a server would: page headers where pages begin, records across them, right CRCs and
// links.
class WalBuilder {
public:
    static constexpr std::uint32_t kSegmentSize = 1U << 20U;
    static constexpr std::uint32_t kPageSize = 8192;
    static constexpr std::uint64_t kFirstSegment = 3;

    explicit WalBuilder(unsigned major = 15, postgres::Timeline timeline = 1)
        : major_(major), timeline_(timeline)
    {
    }

    // Where the next record starts.
    postgres::Lsn position()
    {
        begin_page_if_needed(0);
        return lsn(bytes_.size());
    }

    // Appends a record with nothing but main data and returns where it starts.
    postgres::Lsn append(std::uint8_t manager, std::uint8_t info, ByteView main_data)
    {
        std::vector<std::byte> body;
        if (!main_data.empty() && main_data.size() < 256) {
            body = {std::byte{255}, static_cast<std::byte>(main_data.size())};
        } else if (!main_data.empty()) {
            body.resize(5);
            body[0] = std::byte{254};
            store(body.data() + 1, static_cast<std::uint32_t>(main_data.size()));
        }
        body.insert(body.end(), main_data.begin(), main_data.end());
        return append_body(manager, info, body);
    }
    postgres::Lsn append_text(std::string_view main_data)
    {
        return append(10, 0, as_bytes(main_data));
    }

    postgres::Lsn append_body(std::uint8_t manager, std::uint8_t info, ByteView body)
    {
        const postgres::Lsn start = position();
        const auto record = make_record(manager, info, body);
        write(record, record.size());
        previous_ = start;
        return start;
    }

    // Appends only the first `size` bytes of a record, which never gets its rest.
    void append_torn(std::size_t body_size, std::size_t size)
    {
        position();
        write(make_record(10, 0, std::vector<std::byte>(body_size)), size);
    }

    // A record that ends the segment, whose rest stays zero.
    postgres::Lsn append_switch()
    {
        const postgres::Lsn start = append_body(0, 0x40, {});
        bytes_.resize((bytes_.size() + kSegmentSize - 1) / kSegmentSize * kSegmentSize);
        return start;
    }

    // Goes on at the next page, which says that what was begun before is given up.
    void begin_overwrite_page()
    {
        bytes_.resize((bytes_.size() + kPageSize - 1) / kPageSize * kPageSize);
        begin_page(0, 8);
    }

    void set_timeline(postgres::Timeline timeline) { timeline_ = timeline; }
    void set_previous(postgres::Lsn previous) { previous_ = previous; }

    postgres::Lsn end() const { return lsn(bytes_.size()); }
    std::vector<std::byte>& bytes() { return bytes_; }
    std::size_t segments() const { return (bytes_.size() + kSegmentSize - 1) / kSegmentSize; }
    std::vector<std::byte> segment(std::size_t index) const
    {
        std::vector<std::byte> segment(kSegmentSize);
        const std::size_t begin = index * kSegmentSize;
        const std::size_t end = std::min(begin + kSegmentSize, bytes_.size());
        std::copy(bytes_.begin() + static_cast<std::ptrdiff_t>(begin),
                  bytes_.begin() + static_cast<std::ptrdiff_t>(end),
                  segment.begin());
        return segment;
    }

private:
    static postgres::Lsn lsn(std::size_t offset)
    {
        return postgres::Lsn{kFirstSegment * kSegmentSize + offset};
    }

    std::vector<std::byte> make_record(std::uint8_t manager, std::uint8_t info, ByteView body) const
    {
        std::vector<std::byte> record(24);
        store(record.data(), static_cast<std::uint32_t>(24 + body.size()));
        store<std::uint32_t>(record.data() + 4, 771);
        store(record.data() + 8, previous_.value);
        store(record.data() + 16, info);
        store(record.data() + 17, manager);
        store(record.data() + 20,
              postgres::crc32c(ByteView(record).first(20), postgres::crc32c(body)));
        record.insert(record.end(), body.begin(), body.end());
        return record;
    }

    void begin_page(std::size_t continued, std::uint16_t flags)
    {
        const bool is_long = bytes_.size() % kSegmentSize == 0;
        std::vector<std::byte> header(is_long ? 40 : 24);
        flags = static_cast<std::uint16_t>(flags | (continued != 0 ? 1 : 0) | (is_long ? 2 : 0));
        store(header.data(), postgres::find_version(major_)->wal_magic);
        store(header.data() + 2, flags);
        store(header.data() + 4, timeline_);
        store(header.data() + 8, lsn(bytes_.size()).value);
        store(header.data() + 16, static_cast<std::uint32_t>(continued));
        if (is_long) {
            store<std::uint64_t>(header.data() + 24, 7000000000000000001U);
            store(header.data() + 32, kSegmentSize);
            store(header.data() + 36, kPageSize);
        }
        bytes_.insert(bytes_.end(), header.begin(), header.end());
    }

    void begin_page_if_needed(std::size_t continued)
    {
        if (bytes_.size() % kPageSize == 0) {
            begin_page(continued, 0);
        }
    }

    void write(ByteView record, std::size_t size)
    {
        std::size_t done = 0;
        while (done < size) {
            begin_page_if_needed(record.size() - done);
            const std::size_t room = kPageSize - bytes_.size() % kPageSize;
            const ByteView part = record.subspan(done, std::min(room, size - done));
            bytes_.insert(bytes_.end(), part.begin(), part.end());
            done += part.size();
        }
        bytes_.resize((bytes_.size() + 7) / 8 * 8);
    }

    unsigned major_;
    postgres::Timeline timeline_;
    postgres::Lsn previous_{0x100};
    std::vector<std::byte> bytes_;
};

} // namespace pgstrata::test
