// SPDX-License-Identifier: PostgreSQL
#include "config/ini_file.hpp"
#include "fuzz/harness.hpp"

using namespace pgstrata;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    config::Ini ini;
    test::survives(
        [&] { config::append_ini(ini, "fuzz.conf", as_text(test::input_bytes(data, size))); });
    for (const config::IniEntry& entry : ini.entries) {
        test::require(!entry.key.empty() && entry.file < ini.files.size());
    }
    return 0;
}
