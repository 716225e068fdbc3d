// SPDX-License-Identifier: PostgreSQL
#include "config/command_line.hpp"
#include "fuzz/harness.hpp"

#include <string>
#include <vector>

using namespace pgstrata;

// One argument a line.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::vector<std::string> arguments(1);
    for (const char symbol : as_text(test::input_bytes(data, size))) {
        if (symbol == '\n') {
            arguments.emplace_back();
        } else {
            arguments.back() += symbol;
        }
    }
    test::survives([&] { config::parse_command_line(arguments); });
    return 0;
}
