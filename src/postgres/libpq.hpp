// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/handle.hpp"

#include <libpq-fe.h>

#include <memory>
#include <string>

namespace pgstrata::postgres {

// The functions of libpq that sessions use, found at run time: commands that talk to no server run
// without the library.
struct Libpq {
    decltype(&PQconnectStartParams) connect_start;
    decltype(&PQconnectPoll) connect_poll;
    decltype(&PQfinish) finish;
    decltype(&PQstatus) status;
    decltype(&PQsocket) socket;
    decltype(&PQserverVersion) server_version;
    decltype(&PQerrorMessage) error_message;
    decltype(&PQsetnonblocking) set_nonblocking;
    decltype(&PQsetNoticeProcessor) set_notice_processor;
    decltype(&PQsendQueryParams) send_query;
    decltype(&PQflush) flush;
    decltype(&PQconsumeInput) consume_input;
    decltype(&PQisBusy) is_busy;
    decltype(&PQgetResult) get_result;
    decltype(&PQresultStatus) result_status;
    decltype(&PQresultErrorField) result_error_field;
    decltype(&PQclear) clear;
    decltype(&PQntuples) row_count;
    decltype(&PQnfields) column_count;
    decltype(&PQgetisnull) is_null;
    decltype(&PQgetvalue) value;
    decltype(&PQgetlength) length;
    decltype(&PQgetCancel) get_cancel;
    decltype(&PQfreeCancel) free_cancel;
    decltype(&PQcancel) cancel;
};

// Throws Error(db_connect) when the library or one of the functions is missing.
Libpq load_libpq(const std::string& library);
// libpq.so.5, loaded by the first call.
const Libpq& libpq();

inline void finish_connection(PGconn* connection) noexcept
{
    libpq().finish(connection);
}
inline void clear_result(PGresult* result) noexcept
{
    libpq().clear(result);
}
inline void free_cancel(PGcancel* cancel) noexcept
{
    libpq().free_cancel(cancel);
}

using Connection = Handle<PGconn, &finish_connection>;
using Result = Handle<PGresult, &clear_result>;
using Cancel = Handle<PGcancel, &free_cancel>;

} // namespace pgstrata::postgres
