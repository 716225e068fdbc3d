// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::test {

using Arguments = std::vector<std::string>; // the first is the path of the program

struct ProcessResult {
    int status = -1; // exit status, or 128 + the signal that ended it
    std::string out;
    std::string err;

    std::string text() const { return out + err; } // both, for messages and searches
};

struct ProcessOptions {
    std::map<std::string, std::string>
        environment; // added; PG* of our own environment is taken away
    std::chrono::seconds timeout{120};
    std::string directory;   // working directory; ours when empty
    std::string output_file; // both streams are appended to it instead of being captured
    int death_signal = 9;    // sent to it when the test program dies
};

// A running program in a process group of its own. Destroyed while running, it is killed.
class BackgroundProcess {
public:
    explicit BackgroundProcess(Arguments arguments, ProcessOptions options = {});
    BackgroundProcess(const BackgroundProcess&) = delete;
    BackgroundProcess& operator=(const BackgroundProcess&) = delete;
    ~BackgroundProcess();

    pid_t pid() const { return pid_; }
    bool is_running();
    void signal(int number) const;
    // Throws std::runtime_error with what it said so far when the timeout passes; it is then
    // killed.
    ProcessResult wait();

private:
    ProcessResult result() const;
    void kill_and_reap();

    Arguments arguments_;
    ProcessOptions options_;
    int out_ = -1;
    int err_ = -1;
    pid_t pid_ = -1;
    int wait_status_ = -1;
    bool is_over_ = false;
};

ProcessResult run_process(const Arguments& arguments, const ProcessOptions& options = {});
// Throws std::runtime_error with everything it said unless it ends with status 0.
ProcessResult run_or_throw(const Arguments& arguments, const ProcessOptions& options = {});

// Asks again and again; throws std::runtime_error naming `what` when it has not come true in time.
void wait_until(std::string_view what,
                const std::function<bool()>& is_true,
                std::chrono::milliseconds limit = std::chrono::seconds(60));

} // namespace pgstrata::test
