// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"
#include "fuzz/mutation.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

namespace {

std::vector<std::string> read_corpus(const std::string& directory)
{
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    std::vector<std::string> seeds;
    for (const auto& path : paths) {
        std::ifstream file(path, std::ios::binary);
        seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return seeds;
}

// The input is on disk before it runs, so that one which kills the process can be looked at.
void run(const std::string& input, const std::string& trace)
{
    if (!trace.empty()) {
        std::ofstream(trace, std::ios::binary | std::ios::trunc) << input;
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

} // namespace

// fuzz-NAME MUTATIONS CORPUS [FILE]: with FILE, every input is written there before it is tried.
int main(int count, char** arguments)
{
    if (count < 3) {
        std::fputs("usage: MUTATIONS CORPUS [FILE]\n", stderr);
        return 2;
    }
    const std::string_view number = arguments[1];
    const std::string trace = count > 3 ? arguments[3] : "";
    unsigned mutations = 0;
    std::from_chars(number.data(), number.data() + number.size(), mutations);
    try {
        const std::vector<std::string> seeds = read_corpus(arguments[2]);
        if (seeds.empty()) {
            std::fprintf(stderr, "'%s' is empty\n", arguments[2]);
            return 2;
        }
        run("", trace);
        for (const std::string& seed : seeds) {
            run(seed, trace);
        }
        pgstrata::test::Random random(1);
        for (unsigned i = 0; i < mutations; ++i) {
            run(pgstrata::test::mutate(seeds, random), trace);
        }
        std::printf("%zu seeds and %u mutations survived\n", seeds.size(), mutations);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "not an Error of ours: %s\n", error.what());
        return 1;
    }
}
