// SPDX-License-Identifier: PostgreSQL
#include "postgres/libpq.hpp"

#include "pgstrata/util/shared_library.hpp"

namespace pgstrata::postgres {

namespace {

constexpr const char* kHint =
    "install PostgreSQL's client library (package libpq5, or postgresql-libs).";

} // namespace

Libpq load_libpq(const std::string& library)
{
    const SharedLibrary loaded(library, ErrorCode::db_connect, kHint);
    Libpq pq{};
    loaded.find("PQconnectStartParams", pq.connect_start);
    loaded.find("PQconnectPoll", pq.connect_poll);
    loaded.find("PQfinish", pq.finish);
    loaded.find("PQstatus", pq.status);
    loaded.find("PQsocket", pq.socket);
    loaded.find("PQserverVersion", pq.server_version);
    loaded.find("PQerrorMessage", pq.error_message);
    loaded.find("PQsetnonblocking", pq.set_nonblocking);
    loaded.find("PQsetNoticeProcessor", pq.set_notice_processor);
    loaded.find("PQsendQueryParams", pq.send_query);
    loaded.find("PQflush", pq.flush);
    loaded.find("PQconsumeInput", pq.consume_input);
    loaded.find("PQisBusy", pq.is_busy);
    loaded.find("PQgetResult", pq.get_result);
    loaded.find("PQresultStatus", pq.result_status);
    loaded.find("PQresultErrorField", pq.result_error_field);
    loaded.find("PQclear", pq.clear);
    loaded.find("PQntuples", pq.row_count);
    loaded.find("PQnfields", pq.column_count);
    loaded.find("PQgetisnull", pq.is_null);
    loaded.find("PQgetvalue", pq.value);
    loaded.find("PQgetlength", pq.length);
    loaded.find("PQgetCancel", pq.get_cancel);
    loaded.find("PQfreeCancel", pq.free_cancel);
    loaded.find("PQcancel", pq.cancel);
    return pq;
}

const Libpq& libpq()
{
    static const Libpq kFunctions = load_libpq("libpq.so.5");
    return kFunctions;
}

} // namespace pgstrata::postgres
