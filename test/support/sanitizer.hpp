// SPDX-License-Identifier: PostgreSQL
#pragma once

// Each is there when the runtime library of that sanitizer is linked.
extern "C" {
[[gnu::weak]] void __asan_init();
[[gnu::weak]] void __tsan_init();
}

namespace pgstrata::test {

// Whether what is tested was built with a sanitizer. The test itself may have been compiled
// without, so this is not known before the program is linked.
inline bool has_sanitizer()
{
    return __asan_init != nullptr || __tsan_init != nullptr;
}

} // namespace pgstrata::test
