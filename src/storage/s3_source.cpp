// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_source.hpp"

#include "storage/aws_text.hpp"
#include "storage/http_status.hpp"
#include "storage/prefetcher.hpp"
#include "storage/read_ahead.hpp"

#include <algorithm>
#include <optional>

namespace pgstrata::storage {

namespace {

constexpr std::size_t kHeadSize = 64U << 10U;
constexpr std::size_t kPrefetchUnit = 1U << 20U;

std::string range(std::uint64_t offset, std::size_t size)
{
    return fmt::format("bytes={}-{}", offset, offset + size - 1);
}

// One version of an object.
class S3Source final : public RandomSource {
public:
    S3Source(std::shared_ptr<S3Client> client, std::string key, std::uint64_t size)
        : client_(std::move(client)), key_(std::move(key)), size_(size),
          prefetcher_(longest_block(),
                      [this](std::uint64_t offset, MutableBytes out) { fetch(offset, out); }),
          read_ahead_(longest_block(), read_over())
    {
    }
    // Before it is used.
    void set_beginning(Buffer bytes, std::string_view etag)
    {
        etag_ = etag;
        head_.bytes = std::move(bytes);
        read_ahead_.note(0, head_.bytes.size());
    }

    std::uint64_t size() const override { return size_; }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override;
    void expect(std::uint64_t offset, std::uint64_t size) const override;
    std::uint64_t read_over() const noexcept override { return client_->options().read_over; }

private:
    std::size_t longest_block() const { return client_->options().prefetch * kPrefetchUnit; }
    void fetch(std::uint64_t offset, MutableBytes out) const;

    std::shared_ptr<S3Client> client_; // which sources may outlive the storage for
    std::string key_;
    std::uint64_t size_;
    std::string etag_;
    FetchedBlock head_;
    mutable Prefetcher prefetcher_; // for who says what he will read
    mutable ReadAhead read_ahead_;  // for who does not
};

std::size_t S3Source::read_at(std::uint64_t offset, MutableBytes out) const
{
    if (offset >= size_) {
        return 0;
    }
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset));
    for (std::size_t done = 0; done < size;) {
        const std::uint64_t at = offset + done;
        const MutableBytes rest = out.subspan(done, size - done);
        std::size_t got = head_.copy(at, rest);
        if (got == 0) {
            got = prefetcher_.read(at, rest);
        }
        if (got == 0) {
            got = read_ahead_.copy(at, rest);
        }
        if (got != 0) {
            done += got;
        } else if (const auto block_size = read_ahead_.block_size(at, rest.size())) {
            auto fresh = std::make_shared<FetchedBlock>();
            fresh->offset = at;
            fresh->bytes.resize(std::min<std::uint64_t>(*block_size, size_ - at));
            fetch(at, fresh->bytes.span());
            read_ahead_.keep(std::move(fresh));
            continue;
        } else {
            fetch(at, rest);
            done = size;
        }
        read_ahead_.note(at, offset + done);
    }
    return size;
}

void S3Source::expect(std::uint64_t offset, std::uint64_t size) const
{
    const std::uint64_t begin = std::max<std::uint64_t>(offset, head_.bytes.size());
    const std::uint64_t end = offset + std::min(size, size_ - std::min(offset, size_));
    prefetcher_.expect(begin, end);
}

void S3Source::fetch(std::uint64_t offset, MutableBytes out) const
{
    S3Request request{.action = fmt::format("read '{}'", client_->name_of(key_)), .key = key_};
    request.headers = client_->encryption_headers();
    request.headers.push_back({"range", range(offset, out.size())});
    request.headers.push_back({"if-match", etag_});
    request.into = out;
    request.accepted = {kStatusNotFound, kStatusPreconditionFailed, kStatusNoSuchRange};
    const HttpAnswer answer = client_->send(request);
    if (answer.status == kStatusNotFound || answer.status == kStatusPreconditionFailed ||
        answer.status == kStatusNoSuchRange) {
        raise(ErrorCode::file_read,
              "unable to {}: it was replaced or removed while it was read",
              request.action);
    }
    const auto whole = parse_content_range(answer.header("content-range"));
    const std::string begin = fmt::format("bytes {}-", offset);
    if (answer.status != kStatusPartialContent || answer.received != out.size() || whole != size_ ||
        !answer.header("content-range").starts_with(begin)) {
        raise(ErrorCode::protocol,
              "unable to {}: the store gave another part than the one asked for",
              request.action);
    }
}

} // namespace

std::unique_ptr<RandomSource> open_s3_source(std::shared_ptr<S3Client> client,
                                             const std::string& key)
{
    S3Request request{.action = fmt::format("open '{}'", client->name_of(key)), .key = key};
    Buffer beginning(kHeadSize);
    request.headers = client->encryption_headers();
    request.headers.push_back({"range", range(0, kHeadSize)});
    request.into = beginning.span();
    request.accepted = {kStatusNoSuchRange};
    HttpAnswer answer = client->send(request);

    std::optional<std::uint64_t> size;
    if (answer.status == kStatusNoSuchRange) {
        size = 0; // no byte at all
        beginning.clear();
    } else if (answer.status == kStatusOk) {
        size = answer.body.size(); // a store that pays no heed to ranges of small objects
        beginning = std::move(answer.body);
    } else {
        size = parse_content_range(answer.header("content-range"));
        beginning.resize(answer.received);
    }
    const bool is_whole = size && beginning.size() == std::min<std::uint64_t>(*size, kHeadSize);
    const bool has_etag = size <= kHeadSize || !answer.header("etag").empty();
    if (!has_etag || (!is_whole && answer.status != kStatusOk)) {
        raise(ErrorCode::protocol,
              "unable to {}: the store's answer has no size or no ETag",
              request.action);
    }
    auto source = std::make_unique<S3Source>(std::move(client), key, *size);
    source->set_beginning(std::move(beginning), answer.header("etag"));
    return source;
}

} // namespace pgstrata::storage
