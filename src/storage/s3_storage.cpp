// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_storage.hpp"

#include "storage/aws_text.hpp"
#include "storage/checked_path.hpp"
#include "storage/http_status.hpp"
#include "storage/s3_source.hpp"
#include "storage/s3_upload.hpp"

#include <algorithm>
#include <set>

namespace pgstrata::storage {

namespace {

constexpr std::size_t kMostKeysAtOnce = 1000;
constexpr const char* kWholePage = "1000";

// What could not be removed while everything else was.
class LeftKeys {
public:
    void add(const Error& error)
    {
        if (first_) {
            ++more_;
        } else {
            first_ = error;
        }
    }
    void throw_if_any() const
    {
        if (first_ && more_ == 0) {
            throw Error(*first_);
        }
        if (first_) {
            throw Error(first_->code(),
                        fmt::format("{}, and {} more could not be removed", first_->what(), more_),
                        first_->hint());
        }
    }

private:
    std::optional<Error> first_;
    std::size_t more_ = 0;
};

class S3Storage final : public Storage {
public:
    S3Storage(S3Options options, AwsSurroundings surroundings)
        : client_(std::make_shared<S3Client>(std::move(options), std::move(surroundings)))
    {
    }

    std::string location() const override { return client_->name_of(client_->key_of("")); }
    bool is_listing_cheap() const noexcept override { return false; }
    std::optional<EntryInfo> info(std::string_view path) const override;
    void list(std::string_view directory, const Visitor& visit) const override
    {
        list_some(directory, {}, visit);
    }
    void list_some(std::string_view directory,
                   std::string_view beginning,
                   const Visitor& visit) const override;
    std::unique_ptr<RandomSource> open(std::string_view path) const override;
    std::unique_ptr<PendingFile> create(std::string_view path, WriteMode mode) override;
    // What can be listed has been answered for by the store.
    void make_durable(std::string_view path) override { check_path(path); }
    bool remove(std::string_view path) override;
    void remove_all(std::span<const std::string> paths) override;
    bool remove_directory(std::string_view path) override;

private:
    std::optional<EntryInfo> object_info(const std::string& key) const;
    void require_missing_key(const S3Request& request, const HttpAnswer& answer) const;
    HttpAnswer head(const std::string& key) const;
    ListPage list_page(const std::string& directory,
                       std::string_view beginning,
                       const std::string& token,
                       const char* most) const;
    void remove_key(const std::string& key);
    void try_to_remove(const std::string& key, LeftKeys& left);
    bool remove_at_once(std::span<const std::string> keys, LeftKeys& left);
    Error left_behind(std::string_view key, const StoreError& told) const;

    std::shared_ptr<S3Client> client_;
};

HttpAnswer S3Storage::head(const std::string& key) const
{
    S3Request request{
        .action = fmt::format("look at '{}'", client_->name_of(key)), .method = "HEAD", .key = key};
    request.headers = client_->encryption_headers();
    return client_->send(request);
}

// The answer 404 may also come from what is no store at all.
void S3Storage::require_missing_key(const S3Request& request, const HttpAnswer& answer) const
{
    if (const StoreError told = parse_error(answer.body); told.code != "NoSuchKey") {
        throw refusal(purpose_of(request), answer, told, client_->options(), now_seconds());
    }
}

// By reading a byte: the answer to HEAD cannot say what is missing, the object or the right to see
// it.
std::optional<EntryInfo> S3Storage::object_info(const std::string& key) const
{
    S3Request request{.action = fmt::format("look at '{}'", client_->name_of(key)), .key = key};
    std::array<std::byte, 1> byte{};
    request.headers = client_->encryption_headers();
    request.headers.push_back({"range", "bytes=0-0"});
    request.into = byte;
    request.accepted = {kStatusNotFound, kStatusNoSuchRange};
    HttpAnswer answer = client_->send(request);
    if (answer.status == kStatusNotFound) {
        require_missing_key(request, answer);
        return std::nullopt;
    }
    const bool is_partial = !answer.header("content-range").empty();
    if (answer.status == kStatusNoSuchRange) {
        answer = head(key); // an empty object
    }
    const auto size = is_partial ? parse_content_range(answer.header("content-range"))
                                 : parse_number(answer.header("content-length"));
    const auto time = parse_http_time(answer.header("last-modified"));
    if (!size || !time) {
        raise(
            ErrorCode::protocol, "unable to {}: the answer has no size or no time", request.action);
    }
    return EntryInfo{.name = std::string(file_name(key)),
                     .type = EntryType::file,
                     .size = *size,
                     .mtime = *time};
}

std::optional<EntryInfo> S3Storage::info(std::string_view path) const
{
    check_path_or_root(path);
    if (path.empty()) {
        return EntryInfo{.type = EntryType::directory};
    }
    if (auto object = object_info(client_->key_of(path))) {
        return object;
    }
    // Two, since the first may be a key that ends in a slash, which is nothing to us.
    const ListPage page = list_page(directory_prefix(client_->options().root, path), {}, {}, "2");
    if (page.entries.empty()) {
        return std::nullopt;
    }
    return EntryInfo{.name = std::string(file_name(path)), .type = EntryType::directory};
}

// `directory` is the beginning of all its keys; the names that are returned are without it.
ListPage S3Storage::list_page(const std::string& directory,
                              std::string_view beginning,
                              const std::string& token,
                              const char* most) const
{
    S3Request request{.action = fmt::format("list '{}'", client_->name_of(directory))};
    request.query = {{"list-type", "2"},
                     {"prefix", fmt::format("{}{}", directory, beginning)},
                     {"delimiter", "/"},
                     {"encoding-type", "url"},
                     {"max-keys", most}};
    if (!token.empty()) {
        request.query.emplace_back("continuation-token", token);
    }
    request.expects = BodyKind::xml;
    return client_->ask(
        request, [&](const HttpAnswer& answer) { return parse_list_page(answer.body, directory); });
}

void S3Storage::list_some(std::string_view directory,
                          std::string_view beginning,
                          const Visitor& visit) const
{
    check_path_or_root(directory);
    const std::string prefix = directory_prefix(client_->options().root, directory);
    std::vector<EntryInfo> entries;
    std::set<std::string> seen;
    std::string token;
    do {
        ListPage page = list_page(prefix, beginning, token, kWholePage);
        token = std::move(page.next_token);
        std::ranges::move(page.entries, std::back_inserter(entries));
        if (!seen.insert(token).second) {
            raise(ErrorCode::protocol,
                  "unable to list '{}': the store begins anew",
                  client_->name_of(prefix));
        }
    } while (!token.empty());
    std::erase_if(entries,
                  [&](const EntryInfo& entry) { return !entry.name.starts_with(beginning); });
    std::ranges::sort(entries, {}, &EntryInfo::name);
    std::ranges::for_each(entries, visit);
}

std::unique_ptr<RandomSource> S3Storage::open(std::string_view path) const
{
    check_path(path);
    return open_s3_source(client_, client_->key_of(path));
}

std::unique_ptr<PendingFile> S3Storage::create(std::string_view path, WriteMode mode)
{
    check_path(path);
    return make_s3_upload(client_, client_->key_of(path), mode);
}

// Some stores say that it was gone, which the first try of a repeated request may have seen to.
void S3Storage::remove_key(const std::string& key)
{
    const S3Request request{.action = fmt::format("remove '{}'", client_->name_of(key)),
                            .method = "DELETE",
                            .key = key,
                            .accepted = {kStatusNotFound}};
    const HttpAnswer answer = client_->send(request);
    if (answer.status == kStatusNotFound) {
        require_missing_key(request, answer);
    }
}

bool S3Storage::remove(std::string_view path)
{
    check_path(path);
    const std::string key = client_->key_of(path);
    if (!object_info(key)) {
        return false;
    }
    remove_key(key);
    return true;
}

void S3Storage::remove_all(std::span<const std::string> paths)
{
    LeftKeys left;
    std::vector<std::string> keys;
    for (const std::string& path : paths) {
        check_path(path);
        const std::string key = client_->key_of(path);
        if (is_fit_for_xml(key)) {
            keys.push_back(key);
        } else {
            try_to_remove(key, left);
        }
    }
    const std::span<const std::string> all(keys);
    for (std::size_t at = 0; at < all.size(); at += kMostKeysAtOnce) {
        const auto some = all.subspan(at, std::min(kMostKeysAtOnce, all.size() - at));
        if (!remove_at_once(some, left)) {
            std::ranges::for_each(some, [&](const std::string& key) { try_to_remove(key, left); });
        }
    }
    left.throw_if_any();
}

// A refusal is of this key; anything else would befall the next one, too.
void S3Storage::try_to_remove(const std::string& key, LeftKeys& left)
{
    try {
        remove_key(key);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::access && error.code() != ErrorCode::service) {
            throw;
        }
        left.add(error);
    }
}

Error S3Storage::left_behind(std::string_view key, const StoreError& told) const
{
    const bool is_denied = told.code == "AccessDenied";
    return {is_denied ? ErrorCode::access : ErrorCode::service,
            fmt::format(
                "unable to remove '{}': {}: {}", client_->name_of(key), told.code, told.message),
            is_denied ? missing_right("s3:DeleteObject", client_->options()) : std::string()};
}

// False when the store cannot, or this host cannot ask it to.
bool S3Storage::remove_at_once(std::span<const std::string> keys, LeftKeys& left)
{
    if (!client_->has_md5()) {
        return false;
    }
    const std::string body = deletion_body(keys);
    S3Request request{.action = fmt::format("remove {} objects such as '{}'",
                                            keys.size(),
                                            client_->name_of(keys.front())),
                      .method = "POST"};
    request.query = {{"delete", ""}};
    request.body = as_bytes(body);
    request.expects = BodyKind::xml;
    request.digest = Digest::always;
    request.accepted = {kStatusNotImplemented, kStatusNotAllowed};
    using Failures = std::vector<std::pair<std::string, StoreError>>;
    const auto failed =
        client_->ask(request, [&](const HttpAnswer& answer) -> std::optional<Failures> {
            if (answer.status == kStatusNotImplemented || answer.status == kStatusNotAllowed) {
                return std::nullopt;
            }
            return parse_deletion(answer.body);
        });
    for (const auto& [key, told] : failed.value_or(Failures{})) {
        // Whatever else the store names, only what was asked for is removed.
        if (may_pass({.status = kStatusOk}, told) && std::ranges::find(keys, key) != keys.end()) {
            try_to_remove(key, left);
        } else if (told.code != "NoSuchKey") {
            left.add(left_behind(quotable(key), told));
        }
    }
    return failed.has_value();
}

bool S3Storage::remove_directory(std::string_view path)
{
    check_path(path);
    return false;
}

} // namespace

std::unique_ptr<Storage> make_s3_storage(S3Options options, AwsSurroundings surroundings)
{
    return std::make_unique<S3Storage>(std::move(options), std::move(surroundings));
}

std::unique_ptr<Storage> make_s3_storage(S3Options options)
{
    return make_s3_storage(std::move(options), real_surroundings());
}

} // namespace pgstrata::storage
