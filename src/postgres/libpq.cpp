// SPDX-License-Identifier: PostgreSQL
#include "postgres/libpq.hpp"

#include "pgstrata/util/error.hpp"

#include <dlfcn.h>

namespace pgstrata::postgres {

namespace {

constexpr const char* kHint =
    "install PostgreSQL's client library (package libpq5, or postgresql-libs).";

template <typename Function>
void find(void* library, const char* name, Function& function)
{
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr) {
        throw Error(ErrorCode::db_connect, fmt::format("libpq has no function '{}'", name), kHint);
    }
}

} // namespace

Libpq load_libpq(const std::string& library)
{
    void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        throw Error(
            ErrorCode::db_connect, fmt::format("unable to load the library '{}'", library), kHint);
    }
    Libpq pq{};
    find(handle, "PQconnectStartParams", pq.connect_start);
    find(handle, "PQconnectPoll", pq.connect_poll);
    find(handle, "PQfinish", pq.finish);
    find(handle, "PQstatus", pq.status);
    find(handle, "PQsocket", pq.socket);
    find(handle, "PQserverVersion", pq.server_version);
    find(handle, "PQerrorMessage", pq.error_message);
    find(handle, "PQsetnonblocking", pq.set_nonblocking);
    find(handle, "PQsetNoticeProcessor", pq.set_notice_processor);
    find(handle, "PQsendQueryParams", pq.send_query);
    find(handle, "PQflush", pq.flush);
    find(handle, "PQconsumeInput", pq.consume_input);
    find(handle, "PQisBusy", pq.is_busy);
    find(handle, "PQgetResult", pq.get_result);
    find(handle, "PQresultStatus", pq.result_status);
    find(handle, "PQresultErrorField", pq.result_error_field);
    find(handle, "PQclear", pq.clear);
    find(handle, "PQntuples", pq.row_count);
    find(handle, "PQnfields", pq.column_count);
    find(handle, "PQgetisnull", pq.is_null);
    find(handle, "PQgetvalue", pq.value);
    find(handle, "PQgetlength", pq.length);
    find(handle, "PQgetCancel", pq.get_cancel);
    find(handle, "PQfreeCancel", pq.free_cancel);
    find(handle, "PQcancel", pq.cancel);
    return pq;
}

const Libpq& libpq()
{
    static const Libpq kFunctions = load_libpq("libpq.so.5");
    return kFunctions;
}

} // namespace pgstrata::postgres
