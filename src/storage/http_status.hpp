// SPDX-License-Identifier: PostgreSQL
#pragma once

// The status codes of HTTP (RFC 9110) that stores and metadata services answer with.
namespace pgstrata::storage {

inline constexpr unsigned kStatusOk = 200;
inline constexpr unsigned kStatusPartialContent = 206;
inline constexpr unsigned kStatusRedirects = 300; // and above
inline constexpr unsigned kStatusBadRequest = 400;
inline constexpr unsigned kStatusUnauthorized = 401;
inline constexpr unsigned kStatusForbidden = 403;
inline constexpr unsigned kStatusNotFound = 404;
inline constexpr unsigned kStatusNotAllowed = 405;
inline constexpr unsigned kStatusTimeout = 408;
inline constexpr unsigned kStatusPreconditionFailed = 412;
inline constexpr unsigned kStatusNoSuchRange = 416;
inline constexpr unsigned kStatusTooMany = 429;
inline constexpr unsigned kStatusServerError = 500; // and above
inline constexpr unsigned kStatusNotImplemented = 501;
inline constexpr unsigned kStatusUnavailable = 503;
inline constexpr unsigned kStatusVersionNotSupported = 505;

} // namespace pgstrata::storage
