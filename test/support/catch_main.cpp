// SPDX-License-Identifier: PostgreSQL
// The main program of all tests: Catch2's own, and --queue DIRECTORY for several processes that
// share the work. Each takes the next test case of DIRECTORY/cases, a name a line, that no other
// has taken; DIRECTORY/N is there when line N has been. Every case is a run with a summary of its
// own.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>

namespace {

bool take(const std::string& queue, std::size_t number)
{
    const auto path = queue + "/" + std::to_string(number);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST) {
        std::cerr << "unable to make '" << path << "': error " << errno << std::endl;
        std::exit(EXIT_FAILURE);
    }
    return fd >= 0 && ::close(fd) == 0;
}

// The name as a test specification of Catch2, in which a comma ends a name.
std::string specification(const std::string& name)
{
    std::string escaped;
    for (const char c : name) {
        if (c == '\\' || c == ',') {
            escaped += '\\';
        }
        escaped += c;
    }
    return '"' + escaped + "\",";
}

int run_queue(Catch::Session& session, const std::string& queue)
{
    std::ifstream cases(queue + "/cases");
    if (!cases) {
        std::cerr << "unable to read '" << queue << "/cases'" << std::endl;
        return EXIT_FAILURE;
    }
    int result = EXIT_SUCCESS;
    std::string name;
    for (std::size_t number = 0; std::getline(cases, name); ++number) {
        if (take(queue, number)) {
            auto options = session.configData();
            options.testsOrTags = {specification(name)};
            session.useConfigData(options);
            result = std::max(result, session.run());
        }
    }
    return result;
}

} // namespace

int main(int count, char** words)
{
    Catch::Session session;
    std::string queue;
    session.cli(session.cli() | Catch::clara::Opt(queue, "directory")["--queue"](
                                    "take test cases in turn with other processes"));
    if (const int failure = session.applyCommandLine(count, words); failure != 0) {
        return failure;
    }
    return queue.empty() ? session.run() : run_queue(session, queue);
}
