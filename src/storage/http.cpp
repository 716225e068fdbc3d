// SPDX-License-Identifier: PostgreSQL
#include "storage/http.hpp"

#include "storage/curl_library.hpp"
#include "storage/http_status.hpp"

#include "pgstrata/codec/key.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

namespace pgstrata::storage {

namespace {

// What connecting takes at once: sockets for two addresses, the resolver's or the authorities'
// file, and the means to wake up its thread, all of which have been closed again when it has
// failed.
constexpr std::size_t kConnectionDescriptors = 5;

constexpr std::size_t kHeaderLimit = 65536;
constexpr long kTransferBuffer = 512L * 1024;

std::string lower(std::string_view text)
{
    std::string result(text);
    for (char& c : result) {
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return result;
}

std::string_view trimmed(std::string_view text)
{
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    return begin == std::string_view::npos
               ? std::string_view()
               : text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// Header lines for libcurl. They hold tokens, so they are wiped before they are freed.
class HeaderList : NonCopyable {
public:
    ~HeaderList()
    {
        for (curl_slist* item = list_; item != nullptr; item = item->next) {
            codec::wipe(std::as_writable_bytes(std::span(item->data, std::strlen(item->data))));
        }
        curl_library().list_free(list_);
    }
    void add(const std::string& line)
    {
        curl_slist* longer = curl_library().list_append(list_, line.c_str());
        if (longer == nullptr) {
            raise(ErrorCode::memory, "no memory for the headers of a request");
        }
        list_ = longer;
    }
    curl_slist* get() const noexcept { return list_; }

private:
    curl_slist* list_ = nullptr;
};

// One request under way; what libcurl's callbacks get. They must not throw through C.
class Transfer : NonCopyable {
public:
    Transfer(const HttpRequest& request, std::uint64_t timeout, HttpAnswer& answer)
        : request_(request), timeout_(timeout), answer_(answer)
    {
    }

    std::size_t take_header(std::string_view line);
    std::size_t take_body(CURL* handle, ByteView bytes);
    // Whether the transfer may go on.
    bool check_progress(std::uint64_t moved);

    CURL* handle = nullptr;
    std::string problem; // why we ended it ourselves
    bool may_pass = true;
    bool has_all_headers = false;

private:
    std::size_t refuse(const char* why, bool passes)
    {
        problem = why;
        may_pass = passes;
        return 0;
    }

    const HttpRequest& request_;
    std::uint64_t timeout_;
    HttpAnswer& answer_;
    std::size_t header_bytes_ = 0;
    std::uint64_t window_began_ = monotonic_milliseconds();
    std::uint64_t window_moved_ = 0;
};

std::size_t Transfer::take_header(std::string_view line)
{
    header_bytes_ += line.size();
    if (header_bytes_ > kHeaderLimit) {
        return refuse("the answer has too many headers", false);
    }
    if (line.starts_with("HTTP/")) {
        answer_.headers.clear(); // those before were of an interim answer
    }
    has_all_headers = line == "\r\n" || line == "\n";
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
        const auto [entry, is_new] = answer_.headers.try_emplace(
            lower(trimmed(line.substr(0, colon))), trimmed(line.substr(colon + 1)));
        if (!is_new) {
            entry->second += ", ";
            entry->second += trimmed(line.substr(colon + 1));
        }
    }
    return line.size();
}

std::size_t Transfer::take_body(CURL* handle_of_answer, ByteView bytes)
{
    long status = 0;
    curl_library().easy_getinfo(handle_of_answer, CURLINFO_RESPONSE_CODE, &status);
    if (status == long{kStatusPartialContent} && !request_.into.empty()) {
        if (bytes.size() > request_.into.size() - answer_.received) {
            return refuse("the answer has more bytes than were asked for", false);
        }
        std::memcpy(request_.into.data() + answer_.received, bytes.data(), bytes.size());
        answer_.received += bytes.size();
        return bytes.size();
    }
    if (bytes.size() > request_.limit - std::min(request_.limit, answer_.body.size())) {
        return refuse("the answer is larger than expected", false);
    }
    answer_.body.append(bytes);
    return bytes.size();
}

bool Transfer::check_progress(std::uint64_t moved)
{
    if (request_.cancellation == Cancellation::obeyed && pending_signal() != 0) {
        return false;
    }
    const std::uint64_t now = monotonic_milliseconds();
    if (moved >= window_moved_ + HttpOptions::kSlowestBytes) {
        window_moved_ = moved;
        window_began_ = now;
    }
    if (now - window_began_ < timeout_) {
        return true;
    }
    problem = fmt::format("the time-out of {} ms has passed", timeout_);
    return false;
}

std::size_t header_callback(char* data, std::size_t size, std::size_t count, void* transfer)
{
    try {
        return static_cast<Transfer*>(transfer)->take_header({data, size * count});
    } catch (const std::exception&) {
        return 0;
    }
}

std::size_t body_callback(char* data, std::size_t size, std::size_t count, void* transfer)
{
    try {
        auto* self = static_cast<Transfer*>(transfer);
        return self->take_body(self->handle, as_bytes({data, size * count}));
    } catch (const std::exception&) {
        return 0;
    }
}

int progress_callback(
    void* transfer, curl_off_t, curl_off_t downloaded, curl_off_t, curl_off_t uploaded)
{
    try {
        const auto moved = static_cast<std::uint64_t>(downloaded + uploaded);
        return static_cast<Transfer*>(transfer)->check_progress(moved) ? 0 : 1;
    } catch (const std::exception&) {
        return 1;
    }
}

// What trying again cannot mend.
bool is_permanent(CURLcode code)
{
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_OUT_OF_MEMORY:
        return true;
    default:
        return false;
    }
}

template <typename Value>
void set(CURL* handle, CURLoption option, Value value)
{
    const CURLcode code = curl_library().easy_setopt(handle, option, value);
    if (code != CURLE_OK) {
        raise(ErrorCode::host_connect,
              "libcurl refuses option {}: {}",
              static_cast<int>(option),
              curl_library().easy_strerror(code));
    }
}

// libcurl has an option for the count since version 8.9 only.
int socket_callback(void* count, curl_socket_t fd, curlsocktype)
{
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, count, sizeof(unsigned));
    return CURL_SOCKOPT_OK;
}

void set_keep_alive(CURL* handle, const KeepAlive& options)
{
    set(handle, CURLOPT_TCP_KEEPALIVE, options.is_on ? 1L : 0L);
    if (options.idle_seconds != 0) {
        set(handle, CURLOPT_TCP_KEEPIDLE, static_cast<long>(options.idle_seconds));
    }
    if (options.interval_seconds != 0) {
        set(handle, CURLOPT_TCP_KEEPINTVL, static_cast<long>(options.interval_seconds));
    }
    if (options.count != 0) {
        set(handle, CURLOPT_SOCKOPTFUNCTION, &socket_callback);
        set(handle, CURLOPT_SOCKOPTDATA, &options.count);
    }
}

void set_connection(CURL* handle, const HttpOptions& options, std::uint64_t timeout)
{
    set(handle, CURLOPT_NOSIGNAL, 1L);
    set(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(handle, CURLOPT_PATH_AS_IS, 1L);
    set(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeout));
    set(handle, CURLOPT_TCP_NODELAY, 1L);
    set_keep_alive(handle, options.keep_alive);
    set(handle, CURLOPT_BUFFERSIZE, kTransferBuffer);
    set(handle, CURLOPT_UPLOAD_BUFFERSIZE, kTransferBuffer);
    set(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(handle, CURLOPT_SSL_VERIFYPEER, options.verify_tls ? 1L : 0L);
    set(handle, CURLOPT_SSL_VERIFYHOST, options.verify_tls ? 2L : 0L);
    if (!options.ca_file.empty()) {
        set(handle, CURLOPT_CAINFO, options.ca_file.c_str());
    }
    if (!options.ca_path.empty()) {
        set(handle, CURLOPT_CAPATH, options.ca_path.c_str());
    }
    if (options.proxy == Proxy::none) {
        set(handle, CURLOPT_PROXY, "");
    }
}

void set_request(CURL* handle, const HttpRequest& request, HeaderList& headers)
{
    for (const HttpHeader& header : request.headers) {
        std::string line = header.name + (header.value.empty() ? ";" : ": " + header.value);
        headers.add(line);
        codec::wipe(std::as_writable_bytes(std::span(line)));
    }
    // What libcurl would add by itself and stores may stumble over.
    for (const char* unwanted : {"Expect:", "Accept:", "Content-Type:"}) {
        const std::string name = lower(std::string_view(unwanted, std::strlen(unwanted) - 1));
        if (std::ranges::find(request.headers, name, &HttpHeader::name) == request.headers.end()) {
            headers.add(unwanted);
        }
    }
    set(handle, CURLOPT_URL, request.url.c_str());
    set(handle, CURLOPT_HTTPHEADER, headers.get());
    if (request.method == "HEAD") {
        set(handle, CURLOPT_NOBODY, 1L);
    } else if (request.method == "PUT" || request.method == "POST") {
        set(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        set(handle,
            CURLOPT_POSTFIELDS,
            request.body.empty() ? "" : reinterpret_cast<const char*>(request.body.data()));
        set(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    } else if (request.method != "GET") {
        set(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
}

} // namespace

std::string_view HttpAnswer::header(std::string_view name) const
{
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

// Handles between two requests, each with its open connection.
struct HttpClient::Pool {
    std::mutex mutex;
    std::vector<CurlHandle> idle;

    CurlHandle take()
    {
        const std::lock_guard lock(mutex);
        if (idle.empty()) {
            CurlHandle handle(curl_library().easy_init());
            if (!handle) {
                raise(ErrorCode::memory, "libcurl has no memory for a connection");
            }
            return handle;
        }
        CurlHandle handle = std::move(idle.back());
        idle.pop_back();
        return handle;
    }
    void give_back(CurlHandle handle)
    {
        curl_library().easy_reset(handle.get());
        const std::lock_guard lock(mutex);
        idle.push_back(std::move(handle));
    }
};

HttpClient::HttpClient(HttpOptions options)
    : options_(std::move(options)), pool_(std::make_unique<Pool>())
{
}

HttpClient::~HttpClient() = default;

HttpAnswer HttpClient::send(const HttpRequest& request)
{
    HttpAnswer answer;
    const std::uint64_t timeout = request.timeout_milliseconds != 0 ? request.timeout_milliseconds
                                                                    : options_.timeout_milliseconds;
    Transfer transfer(request, timeout, answer);
    CurlHandle handle = pool_->take();
    transfer.handle = handle.get();
    HeaderList headers;
    std::array<char, CURL_ERROR_SIZE> text{};
    set_connection(handle.get(), options_, timeout);
    set_request(handle.get(), request, headers);
    set(handle.get(), CURLOPT_ERRORBUFFER, text.data());
    set(handle.get(), CURLOPT_HEADERFUNCTION, &header_callback);
    set(handle.get(), CURLOPT_HEADERDATA, &transfer);
    set(handle.get(), CURLOPT_WRITEFUNCTION, &body_callback);
    set(handle.get(), CURLOPT_WRITEDATA, &transfer);
    set(handle.get(), CURLOPT_NOPROGRESS, 0L);
    set(handle.get(), CURLOPT_XFERINFOFUNCTION, &progress_callback);
    set(handle.get(), CURLOPT_XFERINFODATA, &transfer);

    const CURLcode code = curl_library().easy_perform(handle.get());
    if (request.cancellation == Cancellation::obeyed) {
        check_cancelled();
    }
    if (code == CURLE_OK && !transfer.has_all_headers) {
        // Which libcurl takes for an answer.
        answer.failure = "the connection was closed within the headers of the answer";
        answer.may_pass = true;
    } else if (code == CURLE_OK) {
        long status = 0;
        curl_library().easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
        answer.status = static_cast<unsigned>(status);
    } else if (!transfer.problem.empty()) {
        answer.failure = transfer.problem;
        answer.may_pass = transfer.may_pass;
    } else if (const int shortage = descriptor_shortage(kConnectionDescriptors)) {
        raise_errno(ErrorCode::host_connect, shortage, "connect to the store");
    } else {
        answer.failure = text[0] != '\0' ? text.data() : curl_library().easy_strerror(code);
        answer.may_pass = !is_permanent(code);
    }
    // Some versions of libcurl take no options any more after a failure to connect.
    if (code == CURLE_OK) {
        pool_->give_back(std::move(handle));
    }
    return answer;
}

} // namespace pgstrata::storage
