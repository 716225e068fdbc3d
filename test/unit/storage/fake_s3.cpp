// SPDX-License-Identifier: PostgreSQL
#include "fake_s3.hpp"

#include "storage/aws_text.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/util/hex.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>

namespace pgstrata::test {

namespace {

constexpr const char* kMark = "x-amz-meta-pgstrata-write";
const std::string kBucketPath = "/bucket/";

std::tm utc_now()
{
    return fmt::gmtime(std::time(nullptr));
}

std::map<std::string, std::string> parse_query(const std::string& text)
{
    std::map<std::string, std::string> result;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('&', begin), text.size());
        const std::string part = text.substr(begin, end - begin);
        const std::size_t equals = part.find('=');
        result[part.substr(0, equals)] = storage::url_decode(part.substr(equals + 1)).value();
        begin = end + 1;
    }
    return result;
}

std::string text_between(const std::string& text, const std::string& begin, const std::string& end)
{
    const std::size_t at = text.find(begin) + begin.size();
    return text.substr(at, text.find(end, at) - at);
}

} // namespace

HttpReply error_reply(unsigned status, const std::string& code, const std::string& message)
{
    return {.status = status,
            .body = fmt::format("<?xml version=\"1.0\"?><Error><Code>{}</Code><Message>{}</Message>"
                                "</Error>",
                                code,
                                message)};
}

std::string etag_of(const std::string& body)
{
    return "\"" + to_hex(codec::md5(as_bytes(body))) + "\"";
}

FakeS3::FakeS3() : server_([this](const SeenRequest& request) { return answer(request); }) {}

storage::S3Options FakeS3::options() const
{
    storage::S3Options options{.root = "/root",
                               .bucket = "bucket",
                               .endpoint = server_.url(),
                               .region = "here",
                               .uri_style = storage::S3UriStyle::path};
    options.keys.access_key = codec::SecretText("canary-id");
    options.keys.secret_key = codec::SecretText("canary-secret");
    options.retry = {
        .limit_milliseconds = 400, .first_wait_milliseconds = 1, .longest_wait_milliseconds = 20};
    options.http.timeout_milliseconds = 5000;
    return options;
}

std::unique_ptr<storage::Storage> FakeS3::open(const storage::S3Options& options) const
{
    return storage::make_s3_storage(options);
}

std::size_t FakeS3::count(const std::string& method, const std::string& query) const
{
    const auto seen = requests();
    return static_cast<std::size_t>(
        std::count_if(seen.begin(), seen.end(), [&](const SeenRequest& request) {
            return request.method == method && request.query.find(query) != std::string::npos;
        }));
}

HttpReply FakeS3::answer(const SeenRequest& request)
{
    if (before) {
        if (auto reply = before(request)) {
            return *reply;
        }
    }
    HttpReply reply = obey(request);
    if (after) {
        after(request, reply);
    }
    return reply;
}

HttpReply FakeS3::obey(const SeenRequest& request)
{
    if (!request.path.starts_with(kBucketPath)) {
        return error_reply(404, "NoSuchBucket");
    }
    const std::string key = storage::url_decode(request.path.substr(kBucketPath.size())).value();
    auto query = parse_query(request.query);
    if (query.contains("list-type")) {
        return list(query);
    }
    if (query.contains("delete")) {
        return remove_many(request);
    }
    if (query.contains("uploads")) {
        return begin_upload(request, key);
    }
    if (query.contains("uploadId") && !uploads.contains(query["uploadId"])) {
        return error_reply(404, "NoSuchUpload");
    }
    if (query.contains("partNumber")) {
        return put_part(request, query);
    }
    if (request.method == "POST") {
        return complete(request, query["uploadId"]);
    }
    if (request.method == "PUT") {
        return put(request, key);
    }
    if (request.method == "DELETE") {
        query.contains("uploadId") ? uploads.erase(query["uploadId"]) : objects.erase(key);
        return {.status = 204};
    }
    return get(request, key);
}

HttpReply FakeS3::get(const SeenRequest& request, const std::string& key) const
{
    const auto found = objects.find(key);
    if (found == objects.end()) {
        return error_reply(404, "NoSuchKey");
    }
    const std::string& body = found->second.body;
    if (!request.header("if-match").empty() && request.header("if-match") != etag_of(body)) {
        return error_reply(412, "PreconditionFailed");
    }
    HttpReply reply{
        .body = body,
        .headers = {{"ETag", etag_of(body)},
                    {"Last-Modified", fmt::format("{:%a, %d %b %Y %H:%M:%S GMT}", utc_now())},
                    {kMark, found->second.mark}}};
    const std::string range = request.header("range");
    if (!range.empty()) {
        const std::size_t first = std::stoul(range.substr(range.find('=') + 1));
        const std::size_t last =
            std::min(std::stoul(range.substr(range.find('-') + 1)), body.size() - 1);
        if (first >= body.size()) {
            return error_reply(416, "InvalidRange");
        }
        reply.status = 206;
        reply.body = body.substr(first, last - first + 1);
        reply.headers.emplace_back("Content-Range",
                                   fmt::format("bytes {}-{}/{}", first, last, body.size()));
    }
    return reply;
}

std::optional<HttpReply> FakeS3::check_condition(const SeenRequest& request,
                                                 const std::string& key) const
{
    if (request.header("if-none-match").empty() || conditions == FakeConditions::ignored) {
        return std::nullopt;
    }
    if (conditions == FakeConditions::refused) {
        return error_reply(501, "NotImplemented");
    }
    return objects.contains(key) ? std::optional(error_reply(412, "PreconditionFailed"))
                                 : std::nullopt;
}

HttpReply FakeS3::put(const SeenRequest& request, const std::string& key)
{
    if (auto refusal = check_condition(request, key)) {
        return *refusal;
    }
    objects[key] = {request.body, request.header(kMark)};
    return {.headers = {{"ETag", etag_of(request.body)}}};
}

HttpReply FakeS3::begin_upload(const SeenRequest& request, const std::string& key)
{
    const std::string id = fmt::format("id&{}", next_upload_++);
    uploads[id] = {key, request.header(kMark), {}};
    return {.body = fmt::format("<InitiateMultipartUploadResult><UploadId>id&amp;{}</UploadId>"
                                "</InitiateMultipartUploadResult>",
                                next_upload_ - 1)};
}

HttpReply FakeS3::put_part(const SeenRequest& request, std::map<std::string, std::string> query)
{
    uploads[query["uploadId"]].parts[static_cast<unsigned>(std::stoul(query["partNumber"]))] =
        request.body;
    return {.headers = {{"ETag", etag_of(request.body)}}};
}

HttpReply FakeS3::complete(const SeenRequest& request, const std::string& id)
{
    const Upload upload = uploads[id];
    if (auto refusal = check_condition(request, upload.key)) {
        return *refusal;
    }
    std::string body;
    for (const auto& [number, part] : upload.parts) {
        const std::string expected =
            fmt::format("<PartNumber>{}</PartNumber><ETag>&quot;{}&quot;</ETag>",
                        number,
                        etag_of(part).substr(1, 32));
        if (request.body.find(expected) == std::string::npos) {
            return error_reply(400, "InvalidPart");
        }
        body += part;
    }
    objects[upload.key] = {body, upload.mark};
    uploads.erase(id);
    return {
        .body =
            "  \n<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"};
}

HttpReply FakeS3::list(std::map<std::string, std::string> query) const
{
    const std::string prefix = query["prefix"];
    const std::size_t limit = std::min<std::size_t>(page_size, std::stoul(query["max-keys"]));
    std::set<std::string> prefixes;
    std::string text;
    std::string last;
    std::size_t found = 0;
    bool is_cut = false;
    for (const auto& [key, object] : objects) {
        if (!key.starts_with(prefix) || key <= query["continuation-token"]) {
            continue;
        }
        const std::size_t slash = key.find('/', prefix.size());
        const std::string group = slash == std::string::npos ? "" : key.substr(0, slash + 1);
        if (!group.empty() &&
            (prefixes.contains(group) || query["continuation-token"].starts_with(group))) {
            continue;
        }
        if (found++ == limit) {
            is_cut = true;
            break;
        }
        last = group.empty() ? key : group + "\x7f";
        if (group.empty()) {
            text += fmt::format("<Contents><Key>{}</Key><Size>{}</Size>"
                                "<LastModified>{}</LastModified></Contents>",
                                storage::uri_encode(key, storage::UriPart::path),
                                object.body.size(),
                                fmt::format("{:%Y-%m-%dT%H:%M:%S.000Z}", utc_now()));
        } else {
            prefixes.insert(group);
            text += fmt::format("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>",
                                storage::uri_encode(group, storage::UriPart::path));
        }
    }
    return {.body = fmt::format(
                "<ListBucketResult><EncodingType>url</EncodingType>{}<IsTruncated>{}"
                "</IsTruncated>{}</ListBucketResult>",
                text,
                is_cut,
                is_cut ? "<NextContinuationToken>" + last + "</NextContinuationToken>" : "")};
}

HttpReply FakeS3::remove_many(const SeenRequest& request)
{
    if (request.header("content-md5") != to_base64(codec::md5(as_bytes(request.body)))) {
        return error_reply(400, "InvalidRequest", "Missing required header Content-MD5");
    }
    std::string rest = request.body;
    for (std::size_t at = rest.find("<Key>"); at != std::string::npos; at = rest.find("<Key>")) {
        rest.erase(0, at);
        objects.erase(text_between(rest, "<Key>", "</Key>"));
        rest.erase(0, 1);
    }
    return {.body = "<DeleteResult></DeleteResult>"};
}

} // namespace pgstrata::test
