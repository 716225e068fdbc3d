// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/http.hpp"
#include "storage/s3_xml.hpp"

#include "pgstrata/storage/s3.hpp"
#include "pgstrata/util/error.hpp"

namespace pgstrata::storage {

// What can be done about a request that did not succeed.
enum class Remedy : std::uint8_t {
    none,
    try_again,   // it may pass
    slow_down,   // the store wants less of everybody
    renew,       // the credentials have expired
    send_digest, // this bucket insists on Content-MD5
};
Remedy remedy_for(const HttpAnswer& answer, const StoreError& told);
// Whether the same request may be answered later, by a store or a token service.
bool may_pass(const HttpAnswer& answer, const StoreError& told);

// What a request is for: in words for messages, and the right that the store wants for it
// ("s3:GetObject").
struct Purpose {
    std::string_view action;
    std::string_view right;
};

// The error of a request that was refused or not answered: "unable to ACTION: 403 AccessDenied:
// MESSAGE", with a hint where there is something to try. `now` is held against the store's clock.
Error refusal(const Purpose& purpose,
              const HttpAnswer& answer,
              const StoreError& told,
              const S3Options& options,
              UnixSeconds now);

// Who may do what is missing, for the hint of a refusal.
std::string missing_right(std::string_view right, const S3Options& options);

} // namespace pgstrata::storage
