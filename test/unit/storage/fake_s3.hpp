// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/s3_storage.hpp"
#include "support/http_server.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace pgstrata::test {

// What a store makes of If-None-Match.
enum class FakeConditions : unsigned char { obeyed, ignored, refused };

// An S3 server in memory that does what it is told to do wrong. It knows one bucket, "bucket", in
// the path.
class FakeS3 {
public:
    FakeS3();

    // Called before a request is obeyed; an answer takes the place of that.
    std::function<std::optional<HttpReply>(const SeenRequest&)> before;
    // Called afterwards, to spoil the answer.
    std::function<void(const SeenRequest&, HttpReply&)> after;
    FakeConditions conditions = FakeConditions::obeyed;
    std::size_t page_size = 1000;

    storage::S3Options options() const;
    std::unique_ptr<storage::Storage> open(const storage::S3Options& options) const;
    std::unique_ptr<storage::Storage> open() const { return open(options()); }

    std::vector<SeenRequest> requests() const { return server_.requests(); }
    // How many requests had this method and, in the query, this text.
    std::size_t count(const std::string& method, const std::string& query = "") const;

    struct Object {
        std::string body;
        std::string mark;
    };
    struct Upload {
        std::string key;
        std::string mark;
        std::map<unsigned, std::string> parts;
    };
    std::map<std::string, Object> objects; // by their whole key
    std::map<std::string, Upload> uploads; // under way

private:
    HttpReply answer(const SeenRequest& request);
    HttpReply obey(const SeenRequest& request);
    HttpReply get(const SeenRequest& request, const std::string& key) const;
    HttpReply put(const SeenRequest& request, const std::string& key);
    HttpReply put_part(const SeenRequest& request, std::map<std::string, std::string> query);
    HttpReply begin_upload(const SeenRequest& request, const std::string& key);
    HttpReply complete(const SeenRequest& request, const std::string& id);
    HttpReply list(std::map<std::string, std::string> query) const;
    HttpReply remove_many(const SeenRequest& request);
    std::optional<HttpReply> check_condition(const SeenRequest& request,
                                             const std::string& key) const;

    unsigned next_upload_ = 1;
    HttpServer server_; // last: it may call us as soon as it is there
};

HttpReply error_reply(unsigned status, const std::string& code, const std::string& message = "");
std::string etag_of(const std::string& body);

} // namespace pgstrata::test
