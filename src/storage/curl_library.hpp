// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/handle.hpp"

#include <curl/curl.h>

#include <string>

namespace pgstrata::storage {

// The functions of libcurl, found at run time: a repository on a disk does not pay for loading it.
struct CurlLibrary {
    decltype(&curl_global_init) global_init;
    decltype(&curl_easy_init) easy_init;
    decltype(&curl_easy_cleanup) easy_cleanup;
    decltype(&curl_easy_reset) easy_reset;
    decltype(&curl_easy_setopt) easy_setopt;
    decltype(&curl_easy_perform) easy_perform;
    decltype(&curl_easy_getinfo) easy_getinfo;
    decltype(&curl_easy_strerror) easy_strerror;
    decltype(&curl_slist_append) list_append;
    decltype(&curl_slist_free_all) list_free;
};

// Throws Error(host_connect) when the library or one of the functions is missing.
CurlLibrary load_curl(const std::string& library);
// libcurl.so.4, loaded and initialised by the first call; from any thread.
const CurlLibrary& curl_library();

inline void free_curl(CURL* handle) noexcept
{
    curl_library().easy_cleanup(handle);
}
using CurlHandle = Handle<CURL, &free_curl>;

} // namespace pgstrata::storage
