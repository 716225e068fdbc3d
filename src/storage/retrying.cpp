// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/log/log.hpp"
#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"

#include <vector>

namespace pgstrata::storage {

namespace {

bool may_pass(ErrorCode code)
{
    return code == ErrorCode::file_read || code == ErrorCode::file_open ||
           code == ErrorCode::host_connect || code == ErrorCode::service;
}

template <typename Action>
auto with_retries(const RetryPolicy& policy, const Action& action) -> decltype(action())
{
    for (unsigned attempt = 0;; ++attempt) {
        try {
            return action();
        } catch (const Error& error) {
            if (attempt == policy.retries || !may_pass(error.code())) {
                throw;
            }
            log::detail("retry after: {}", error.what());
        }
        const auto wait = attempt == 0 ? policy.first_wait_milliseconds : policy.wait_milliseconds;
        sleep_cancellable(static_cast<unsigned>(wait));
    }
}

class RetryingSource final : public RandomSource {
public:
    RetryingSource(std::unique_ptr<RandomSource> inner, const RetryPolicy& policy)
        : inner_(std::move(inner)), policy_(policy)
    {
    }
    std::uint64_t size() const override { return inner_->size(); }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override
    {
        return with_retries(policy_, [&] { return inner_->read_at(offset, out); });
    }

private:
    std::unique_ptr<RandomSource> inner_;
    RetryPolicy policy_;
};

class RetryingStorage final : public Storage {
public:
    RetryingStorage(Storage& inner, const RetryPolicy& policy) : inner_(inner), policy_(policy) {}

    std::string location() const override { return inner_.location(); }
    std::optional<EntryInfo> info(std::string_view path) const override
    {
        return with_retries(policy_, [&] { return inner_.info(path); });
    }
    void list(std::string_view directory, const Visitor& visit) const override
    {
        // Collected first: a failure of the visitor is no reason to list again.
        const auto entries = with_retries(policy_, [&] {
            std::vector<EntryInfo> found;
            inner_.list(directory, [&](const EntryInfo& entry) { found.push_back(entry); });
            return found;
        });
        for (const auto& entry : entries) {
            visit(entry);
        }
    }
    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        return std::make_unique<RetryingSource>(
            with_retries(policy_, [&] { return inner_.open(path); }), policy_);
    }
    std::unique_ptr<PendingFile> create(std::string_view path, WriteMode mode) override
    {
        return inner_.create(path, mode);
    }
    bool remove(std::string_view path) override
    {
        return with_retries(policy_, [&] { return inner_.remove(path); });
    }
    bool remove_directory(std::string_view path) override { return inner_.remove_directory(path); }

private:
    Storage& inner_;
    RetryPolicy policy_;
};

} // namespace

std::unique_ptr<Storage> make_retrying_storage(Storage& inner, RetryPolicy policy)
{
    return std::make_unique<RetryingStorage>(inner, policy);
}

} // namespace pgstrata::storage
