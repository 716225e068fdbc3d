// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <condition_variable>
#include <mutex>
#include <random>
#include <vector>

namespace pgstrata::test {

// Lets one of several actors, each on threads of its own, go on at a time, in an order that a seed
// decides.
class Turns {
public:
    Turns(std::size_t actors, unsigned seed) : random_(seed), is_gone_(actors) { choose(); }

    // Where another may have the next turn; returns when the actor has it again.
    void yield(std::size_t actor)
    {
        std::unique_lock lock(mutex_);
        choose();
        changed_.wait(lock, [&] { return current_ == actor; });
    }

    void leave(std::size_t actor)
    {
        const std::scoped_lock lock(mutex_);
        is_gone_[actor] = true;
        choose();
    }

private:
    void choose()
    {
        std::vector<std::size_t> left;
        for (std::size_t i = 0; i < is_gone_.size(); ++i) {
            if (!is_gone_[i]) {
                left.push_back(i);
            }
        }
        if (!left.empty()) {
            current_ = left[random_() % left.size()];
        }
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::mt19937 random_;
    std::vector<bool> is_gone_;
    std::size_t current_ = 0;
};

} // namespace pgstrata::test
