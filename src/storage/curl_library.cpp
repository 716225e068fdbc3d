// SPDX-License-Identifier: PostgreSQL
#include "storage/curl_library.hpp"

#include "pgstrata/util/error.hpp"

#include <dlfcn.h>

namespace pgstrata::storage {

namespace {

constexpr const char* kHint = "install libcurl (package libcurl4, or libcurl)";

template <typename Function>
void find(void* library, const char* name, Function& function)
{
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr) {
        throw Error(
            ErrorCode::host_connect, fmt::format("libcurl has no function '{}'", name), kHint);
    }
}

} // namespace

CurlLibrary load_curl(const std::string& library)
{
    void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        throw Error(ErrorCode::host_connect,
                    fmt::format("unable to load the library '{}'", library),
                    kHint);
    }
    CurlLibrary curl{};
    find(handle, "curl_global_init", curl.global_init);
    find(handle, "curl_easy_init", curl.easy_init);
    find(handle, "curl_easy_cleanup", curl.easy_cleanup);
    find(handle, "curl_easy_reset", curl.easy_reset);
    find(handle, "curl_easy_setopt", curl.easy_setopt);
    find(handle, "curl_easy_perform", curl.easy_perform);
    find(handle, "curl_easy_getinfo", curl.easy_getinfo);
    find(handle, "curl_easy_strerror", curl.easy_strerror);
    find(handle, "curl_slist_append", curl.list_append);
    find(handle, "curl_slist_free_all", curl.list_free);
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
