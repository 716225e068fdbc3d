// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/shared_library.hpp"

#include "pgstrata/util/file_descriptor.hpp"

#include <dlfcn.h>

namespace pgstrata {

SharedLibrary::SharedLibrary(std::string name, ErrorCode code, std::string hint)
    : name_(std::move(name)), code_(code), hint_(std::move(hint)),
      handle_(::dlopen(name_.c_str(), RTLD_NOW | RTLD_LOCAL))
{
    if (handle_ == nullptr) {
        const char* told = ::dlerror(); // begins with the name
        const std::string reason = told != nullptr ? told : name_;
        // dlopen(3) goes on to the next directory after any failure, and tells of the last one
        // only.
        if (const int shortage = descriptor_shortage(1)) {
            raise_errno(code_, shortage, fmt::format("load the library '{}'", name_));
        }
        throw Error(code_, fmt::format("unable to load a library: {}", reason), hint_);
    }
}

void* SharedLibrary::address_of(const char* name) const
{
    void* address = ::dlsym(handle_, name);
    if (address == nullptr) {
        throw Error(
            code_, fmt::format("the library '{}' has no function '{}'", name_, name), hint_);
    }
    return address;
}

} // namespace pgstrata
