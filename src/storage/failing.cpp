// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/util/error.hpp"

namespace pgstrata::storage {

namespace {

// Counts one operation, and fails when it is its turn.
void step(FaultPlan& plan, std::string_view operation, std::string_view path)
{
    const std::uint64_t number = ++plan.count;
    const bool is_due = plan.fail_at != 0 &&
                        (number == plan.fail_at || (plan.stay_broken && number > plan.fail_at));
    if (is_due) {
        raise(plan.code,
              "unable to {} '{}': injected fault at operation {}",
              operation,
              path,
              number);
    }
}

class FailingSource final : public RandomSource {
public:
    FailingSource(std::unique_ptr<RandomSource> inner, FaultPlan& plan, std::string path)
        : inner_(std::move(inner)), plan_(plan), path_(std::move(path))
    {
    }
    std::uint64_t size() const override { return inner_->size(); }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override
    {
        step(plan_, "read", path_);
        return inner_->read_at(offset, out);
    }

private:
    std::unique_ptr<RandomSource> inner_;
    FaultPlan& plan_;
    std::string path_;
};

class FailingPendingFile final : public PendingFile {
public:
    FailingPendingFile(std::unique_ptr<PendingFile> inner, FaultPlan& plan, std::string path)
        : inner_(std::move(inner)), plan_(plan), path_(std::move(path))
    {
    }

    void write(ByteView bytes) override
    {
        pass_on("write", [&] { inner_->write(bytes); });
    }
    void commit() override
    {
        pass_on("commit", [&] { inner_->commit(); });
    }

private:
    // A file that has lost a piece must not be committed later on.
    template <typename Action>
    void pass_on(std::string_view operation, const Action& action)
    {
        if (is_broken_) {
            raise(ErrorCode::assertion, "{} of '{}' after it failed", operation, path_);
        }
        is_broken_ = true;
        step(plan_, operation, path_);
        action();
        is_broken_ = false;
    }

    std::unique_ptr<PendingFile> inner_;
    FaultPlan& plan_;
    std::string path_;
    bool is_broken_ = false;
};

class FailingStorage final : public Storage {
public:
    FailingStorage(Storage& inner, FaultPlan& plan) : inner_(inner), plan_(plan) {}

    std::string location() const override { return inner_.location(); }
    bool is_listing_cheap() const noexcept override { return inner_.is_listing_cheap(); }
    std::optional<EntryInfo> info(std::string_view path) const override
    {
        step(plan_, "get the status of", path);
        return inner_.info(path);
    }
    void list(std::string_view directory, const Visitor& visit) const override
    {
        step(plan_, "list", directory);
        inner_.list(directory, visit);
    }
    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        step(plan_, "open", path);
        return std::make_unique<FailingSource>(inner_.open(path), plan_, std::string(path));
    }
    std::unique_ptr<PendingFile> create(std::string_view path, WriteMode mode) override
    {
        step(plan_, "create", path);
        return std::make_unique<FailingPendingFile>(
            inner_.create(path, mode), plan_, std::string(path));
    }
    void make_durable(std::string_view path) override
    {
        step(plan_, "make durable", path);
        inner_.make_durable(path);
    }
    bool remove(std::string_view path) override
    {
        step(plan_, "remove", path);
        return inner_.remove(path);
    }
    bool remove_directory(std::string_view path) override
    {
        step(plan_, "remove directory", path);
        return inner_.remove_directory(path);
    }

private:
    Storage& inner_;
    FaultPlan& plan_;
};

} // namespace

std::unique_ptr<Storage> make_failing_storage(Storage& inner, FaultPlan& plan)
{
    return std::make_unique<FailingStorage>(inner, plan);
}

} // namespace pgstrata::storage
