// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/error.hpp"

#include <string>

namespace pgstrata {

// A library that is loaded at run time, so that only those pay for it who use it. It stays loaded
// until the process ends; what find() gave may be called from any thread.
class SharedLibrary {
public:
    // `name` as dlopen(3) takes it. Throws Error(code) with `hint` when it cannot be loaded, and
    // Error(kernel) when that is for want of file descriptors.
    SharedLibrary(std::string name, ErrorCode code, std::string hint);

    // Points `function` at the one of that name. Throws as the constructor does.
    template <typename Function>
    void find(const char* name, Function*& function) const
    {
        function = reinterpret_cast<Function*>(address_of(name));
    }

private:
    void* address_of(const char* name) const;

    std::string name_;
    ErrorCode code_;
    std::string hint_;
    void* handle_;
};

} // namespace pgstrata
