// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/parallel.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/once.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace pgstrata {

void run_workers(std::size_t workers, const std::function<void(std::size_t, std::stop_token)>& work)
{
    std::stop_source stop;
    Once failed;
    std::exception_ptr failure;
    const auto guarded = [&](std::size_t worker) {
        try {
            work(worker, stop.get_token());
        } catch (...) {
            failed.run([&] { failure = std::current_exception(); });
            stop.request_stop();
        }
    };
    {
        std::vector<std::jthread> threads;
        threads.reserve(workers);
        try {
            for (std::size_t worker = 1; worker < workers; ++worker) {
                threads.emplace_back(guarded, worker);
            }
            guarded(0);
        } catch (const std::system_error& error) {
            // Those that run would go on to the end of the work before the failure is told.
            stop.request_stop();
            throw Error(ErrorCode::kernel,
                        fmt::format("unable to start {} workers: [{}] {}",
                                    workers,
                                    error.code().value(),
                                    error.code().message()),
                        "lower process-max, or raise the limits of processes and of memory");
        }
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

void parallel_for_each(std::size_t workers,
                       std::size_t count,
                       const std::function<void(std::size_t)>& work)
{
    std::atomic<std::size_t> next = 0;
    run_workers(std::clamp<std::size_t>(workers, 1, std::max<std::size_t>(count, 1)),
                [&](std::size_t, const std::stop_token& token) {
                    for (std::size_t i = next++; i < count && !token.stop_requested(); i = next++) {
                        work(i);
                    }
                });
}

std::size_t available_cores()
{
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) == 0) {
        return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
    }
    return std::max(1U, std::thread::hardware_concurrency());
}

} // namespace pgstrata
