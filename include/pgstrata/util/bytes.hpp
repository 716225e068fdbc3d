// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pgstrata {

using ByteView = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline ByteView as_bytes(std::string_view text) noexcept
{
    return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string_view as_text(ByteView bytes) noexcept
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline const std::uint8_t* as_u8(ByteView bytes) noexcept
{
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

inline std::uint8_t* as_u8(MutableBytes bytes) noexcept
{
    return reinterpret_cast<std::uint8_t*>(bytes.data());
}

// Unaligned native-endian access; the caller has checked that the bytes are there.
template <typename T>
T load(const std::byte* from) noexcept
{
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <typename T>
void store(std::byte* to, T value) noexcept
{
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(to, &value, sizeof value);
}

// True when every byte is zero (and for no bytes at all).
bool is_zero(ByteView bytes) noexcept;

// A growable run of bytes that are not initialised when it grows: the workers' reusable memory. It
// begins on a border of kAlignment bytes, so that it can be written past the page cache.
class Buffer {
public:
    static constexpr std::size_t kAlignment = 4096;

    Buffer() = default;
    explicit Buffer(std::size_t size) { resize(size); }
    Buffer(Buffer&& other) noexcept
        : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0))
    {
    }
    Buffer& operator=(Buffer&& other) noexcept
    {
        data_ = std::move(other.data_);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, 0);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() = default;

    std::byte* data() noexcept { return data_.get(); }
    const std::byte* data() const noexcept { return data_.get(); }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

    // Keeps the contents up to the smaller of both sizes; memory is only ever grown.
    void resize(std::size_t size);
    void reserve(std::size_t capacity);
    void clear() noexcept { size_ = 0; }
    void append(ByteView bytes);
    // Removes the first `count` bytes and moves the others to the front.
    void drop_front(std::size_t count) noexcept;

    MutableBytes span() noexcept { return {data_.get(), size_}; }
    ByteView view() const noexcept { return {data_.get(), size_}; }
    operator ByteView() const noexcept { return view(); } // NOLINT(google-explicit-constructor)

private:
    struct Release {
        void operator()(std::byte* data) const noexcept;
    };
    std::unique_ptr<std::byte, Release> data_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

} // namespace pgstrata
