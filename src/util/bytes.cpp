// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/bytes.hpp"

#include <algorithm>
#include <new>

namespace pgstrata {

bool is_zero(ByteView bytes) noexcept
{
    // Equal to itself shifted by one and beginning with zero: memcmp does the fast work.
    return bytes.empty() || (bytes[0] == std::byte{0} &&
                             std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

void Buffer::Release::operator()(std::byte* data) const noexcept
{
    ::operator delete (data, std::align_val_t{kAlignment});
}

void Buffer::reserve(std::size_t capacity)
{
    if (capacity <= capacity_) {
        return;
    }
    const std::size_t grown = std::max(capacity, capacity_ + capacity_ / 2);
    std::unique_ptr<std::byte, Release> data(
        static_cast<std::byte*>(::operator new (grown, std::align_val_t{kAlignment})));
    if (size_ != 0) {
        std::memcpy(data.get(), data_.get(), size_);
    }
    data_ = std::move(data);
    capacity_ = grown;
}

void Buffer::resize(std::size_t size)
{
    reserve(size);
    size_ = size;
}

void Buffer::drop_front(std::size_t count) noexcept
{
    if (count != 0) {
        std::memmove(data_.get(), data_.get() + count, size_ - count);
        size_ -= count;
    }
}

void Buffer::append(ByteView bytes)
{
    if (bytes.empty()) {
        return;
    }
    const std::size_t old = size_;
    resize(old + bytes.size());
    std::memcpy(data_.get() + old, bytes.data(), bytes.size());
}

} // namespace pgstrata
