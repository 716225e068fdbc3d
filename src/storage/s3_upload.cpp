// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_upload.hpp"

#include "storage/http_status.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/process.hpp"

#include <algorithm>

namespace pgstrata::storage {

namespace {

constexpr unsigned kPartsOfOneSize = 500;
constexpr std::size_t kLargestPart = std::size_t{1} << 30U;
constexpr std::uint64_t kAbortTimeout = 5000;
// The store puts the parts together while we wait.
constexpr std::uint64_t kCompletionTimeout = 600'000;
// Tells an object that a repeated request finds there from one that somebody else wrote.
constexpr const char* kMarkHeader = "x-amz-meta-pgstrata-write";

class S3Upload final : public PendingFile {
public:
    S3Upload(std::shared_ptr<S3Client> client, std::string key, WriteMode mode)
        : client_(std::move(client)), key_(std::move(key)), mode_(mode),
          mark_(random_tag() + random_tag())
    {
    }
    ~S3Upload() override { abandon(); }

    void write(ByteView bytes) override;
    void commit() override;

private:
    enum class State : std::uint8_t { writing, failed, committed };

    S3Request request(const char* action) const;
    std::size_t current_part_size() const
    {
        return part_size(static_cast<unsigned>(etags_.size()) + 1, client_->options().part_size);
    }
    void begin_parts();
    void upload_part();
    void publish(const S3Request& last);
    void publish_once(const S3Request& last);
    HttpAnswer send_last(const S3Request& last);
    bool is_taken() const;
    bool is_ours() const;
    [[noreturn]] void raise_taken() const;
    void abandon() noexcept;

    std::shared_ptr<S3Client> client_;
    std::string key_;
    WriteMode mode_;
    std::string mark_;
    State state_ = State::writing;
    Buffer part_;           // what is not uploaded yet; its memory serves all parts
    std::string upload_id_; // empty until there is more than one part
    std::vector<std::string> etags_;
};

S3Request S3Upload::request(const char* action) const
{
    return {.action = fmt::format("{} '{}'", action, client_->name_of(key_)), .key = key_};
}

void S3Upload::write(ByteView bytes)
{
    if (state_ != State::writing) {
        raise(ErrorCode::assertion, "write to '{}' after it ended", client_->name_of(key_));
    }
    state_ = State::failed;
    // What is not written of it costs no memory, and growing would copy.
    part_.reserve(current_part_size());
    while (!bytes.empty()) {
        // Only when there is more, so that what fits is written in one request.
        if (part_.size() == current_part_size()) {
            upload_part();
        }
        const std::size_t size = std::min(bytes.size(), current_part_size() - part_.size());
        part_.append(bytes.first(size));
        bytes = bytes.subspan(size);
    }
    state_ = State::writing;
}

void S3Upload::begin_parts()
{
    S3Request begin = request("begin the upload of");
    begin.method = "POST";
    begin.query = {{"uploads", ""}};
    begin.headers = client_->new_object_headers();
    begin.headers.push_back({kMarkHeader, mark_});
    begin.expects = BodyKind::xml;
    upload_id_ =
        client_->ask(begin, [](const HttpAnswer& answer) { return parse_upload_id(answer.body); });
}

void S3Upload::upload_part()
{
    if (upload_id_.empty()) {
        begin_parts();
    }
    if (etags_.size() == kMostParts) {
        raise(ErrorCode::file_write,
              "unable to write '{}': it has more than {} parts",
              client_->name_of(key_),
              kMostParts);
    }
    S3Request put = request("upload a part of");
    put.method = "PUT";
    put.query = {{"partNumber", std::to_string(etags_.size() + 1)}, {"uploadId", upload_id_}};
    put.headers = client_->encryption_headers();
    put.body = part_;
    const HttpAnswer answer = client_->send(put);
    if (answer.header("etag").empty()) {
        raise(ErrorCode::protocol, "unable to {}: the answer has no ETag", put.action);
    }
    etags_.emplace_back(answer.header("etag"));
    part_.clear();
}

void S3Upload::commit()
{
    if (state_ != State::writing) {
        raise(ErrorCode::assertion,
              "commit of '{}' after it failed or ended",
              client_->name_of(key_));
    }
    state_ = State::failed;
    std::string parts;
    S3Request last = request("write");
    if (upload_id_.empty()) {
        last.method = "PUT";
        last.headers = client_->new_object_headers();
        last.headers.push_back({kMarkHeader, mark_});
        last.body = part_;
    } else {
        upload_part();
        parts = completion_body(etags_);
        last.method = "POST";
        last.query = {{"uploadId", upload_id_}};
        last.headers = client_->encryption_headers();
        last.body = as_bytes(parts);
        last.expects = BodyKind::xml;
        last.timeout_milliseconds =
            std::max(kCompletionTimeout, client_->options().http.timeout_milliseconds);
        last.accepted = {kStatusNotFound};
    }
    publish(last);
    state_ = State::committed;
    part_ = Buffer();
}

void S3Upload::publish(const S3Request& last)
{
    if (mode_ == WriteMode::replace) {
        send_last(last);
    } else {
        publish_once(last);
    }
}

void S3Upload::publish_once(const S3Request& last)
{
    using Conditions = S3Client::Conditions;
    const S3Client::Turn turn(*client_, key_);
    // A store may also pay no heed to a condition that it does not know, or knows of single writes
    // only, as Ceph 16 does.
    const bool is_in_parts = !upload_id_.empty();
    if (mode_ == WriteMode::once && (is_in_parts || client_->conditions != Conditions::obeyed) &&
        is_taken()) {
        raise_taken();
    }
    if (client_->conditions != Conditions::refused) {
        S3Request guarded = last;
        guarded.headers.push_back({"if-none-match", "*"});
        guarded.accepted.push_back(kStatusPreconditionFailed);
        guarded.accepted.push_back(kStatusNotImplemented);
        const HttpAnswer answer = send_last(guarded);
        if (answer.status == kStatusPreconditionFailed) {
            client_->conditions = Conditions::obeyed;
            // Our own, when the answer to the first try was lost.
            if (!is_ours()) {
                raise_taken();
            }
            return;
        }
        if (answer.status != kStatusNotImplemented) {
            return;
        }
    }
    send_last(last);
    client_->conditions = Conditions::refused;
}

// Sends the request that makes the object visible, and makes sure that it did.
HttpAnswer S3Upload::send_last(const S3Request& last)
{
    if (upload_id_.empty()) {
        return client_->send(last);
    }
    return client_->ask(last, [&](HttpAnswer answer) {
        // Gone are uploads that were completed, too: by a try whose answer was lost.
        if (answer.status == kStatusNotFound && !is_ours()) {
            raise(ErrorCode::service,
                  "unable to {}: the store has lost the upload: {}",
                  last.action,
                  parse_error(answer.body).message);
        }
        if (answer.status == kStatusOk) {
            check_completion(answer.body);
        }
        return answer;
    });
}

bool S3Upload::is_taken() const
{
    S3Request head = request("look for");
    head.method = "HEAD";
    head.headers = client_->encryption_headers();
    head.accepted = {kStatusNotFound};
    return client_->send(head).status != kStatusNotFound;
}

bool S3Upload::is_ours() const
{
    S3Request head = request("look for");
    head.method = "HEAD";
    head.headers = client_->encryption_headers();
    head.accepted = {kStatusNotFound};
    const HttpAnswer answer = client_->send(head);
    return answer.status != kStatusNotFound && answer.header(kMarkHeader) == mark_;
}

void S3Upload::raise_taken() const
{
    raise(ErrorCode::file_exists,
          "unable to write '{}': the file exists already",
          client_->name_of(key_));
}

void S3Upload::abandon() noexcept
{
    if (state_ == State::committed || upload_id_.empty()) {
        return;
    }
    try {
        S3Request abort = request("take back the upload of");
        abort.method = "DELETE";
        abort.query = {{"uploadId", upload_id_}};
        abort.accepted = {kStatusNotFound};
        abort.timeout_milliseconds = kAbortTimeout;
        abort.is_last_wish = true;
        client_->send(abort);
    } catch (const std::exception& error) {
        log::detail("parts are left in the store: {}", error.what());
    }
}

} // namespace

std::size_t part_size(unsigned number, std::size_t first)
{
    std::size_t size = first;
    for (unsigned reached = kPartsOfOneSize; reached < number && size < kLargestPart;
         reached += kPartsOfOneSize) {
        size *= 2;
    }
    return std::min(size, std::max(kLargestPart, first));
}

std::unique_ptr<PendingFile>
make_s3_upload(std::shared_ptr<S3Client> client, std::string key, WriteMode mode)
{
    return std::make_unique<S3Upload>(std::move(client), std::move(key), mode);
}

} // namespace pgstrata::storage
