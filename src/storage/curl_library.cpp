// SPDX-License-Identifier: PostgreSQL
#include "storage/curl_library.hpp"

#include "pgstrata/util/shared_library.hpp"

namespace pgstrata::storage {

namespace {

constexpr const char* kHint = "install libcurl (package libcurl4, or libcurl)";

} // namespace

CurlLibrary load_curl(const std::string& library)
{
    const SharedLibrary loaded(library, ErrorCode::host_connect, kHint);
    CurlLibrary curl{};
    loaded.find("curl_global_init", curl.global_init);
    loaded.find("curl_easy_init", curl.easy_init);
    loaded.find("curl_easy_cleanup", curl.easy_cleanup);
    loaded.find("curl_easy_reset", curl.easy_reset);
    loaded.find("curl_easy_setopt", curl.easy_setopt);
    loaded.find("curl_easy_perform", curl.easy_perform);
    loaded.find("curl_easy_getinfo", curl.easy_getinfo);
    loaded.find("curl_easy_strerror", curl.easy_strerror);
    loaded.find("curl_slist_append", curl.list_append);
    loaded.find("curl_slist_free_all", curl.list_free);
    return curl;
}

const CurlLibrary& curl_library()
{
    static const CurlLibrary kLibrary = [] {
        const CurlLibrary curl = load_curl("libcurl.so.4");
        if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
            raise(ErrorCode::host_connect, "libcurl cannot be initialised");
        }
        return curl;
    }();
    return kLibrary;
}

} // namespace pgstrata::storage
