// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/repository_probe.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/storage/memory.hpp"
#include "pgstrata/util/path.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::engine;

namespace {

enum class Refused { nothing, list, create, commit, open, remove };

// A store whose user has all rights but one.
class RestrictedStorage final : public storage::Storage {
public:
    explicit RestrictedStorage(Refused refused, ErrorCode code = ErrorCode::access)
        : refused_(refused), code_(code)
    {
    }

    std::string location() const override { return "memory"; }
    bool is_listing_cheap() const noexcept override { return true; }
    std::optional<storage::EntryInfo> info(std::string_view path) const override
    {
        return inner_->info(path);
    }
    void list(std::string_view directory, const Visitor& visit) const override
    {
        check(Refused::list);
        if (!hides_names) {
            inner_->list(directory, [&](storage::EntryInfo entry) {
                entry.mtime -= entry.name == older_name ? older_seconds : 0;
                visit(entry);
            });
        }
    }
    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        check(Refused::open);
        return inner_->open(other_text.empty() ? path : std::string_view("other"));
    }
    std::unique_ptr<storage::PendingFile> create(std::string_view path,
                                                 storage::WriteMode mode) override
    {
        check(Refused::create);
        written = path;
        if (refused_ == Refused::commit) {
            return std::make_unique<RefusedFile>(code_);
        }
        if (!other_text.empty()) {
            storage::write_file(*inner_, "other", as_bytes(other_text));
        }
        return inner_->create(path, mode);
    }
    void make_durable(std::string_view path) override { inner_->make_durable(path); }
    bool remove(std::string_view path) override
    {
        check(Refused::remove);
        return keeps_files || inner_->remove(path);
    }
    bool remove_directory(std::string_view) override { return false; }

    std::string written;
    std::string other_text; // what is read in place of what was written
    std::string older_name; // which is so much older than it is
    UnixSeconds older_seconds = 0;
    bool hides_names = false;
    bool keeps_files = false;

private:
    class RefusedFile final : public storage::PendingFile {
    public:
        explicit RefusedFile(ErrorCode code) : code_(code) {}
        void write(ByteView) override {}
        void commit() override { raise(code_, "refused"); }

    private:
        ErrorCode code_;
    };

    void check(Refused operation) const
    {
        if (refused_ == operation) {
            raise(code_, "refused");
        }
    }

    std::unique_ptr<storage::Storage> inner_ = storage::make_memory_storage();
    Refused refused_;
    ErrorCode code_;
};

std::vector<ProbeStep> steps(const std::vector<ProbeFailure>& failures)
{
    std::vector<ProbeStep> result;
    for (const ProbeFailure& failure : failures) {
        result.push_back(failure.step);
    }
    return result;
}

} // namespace

TEST_CASE("a probe of a repository that can be used leaves nothing", "[check]")
{
    RestrictedStorage store(Refused::nothing);

    CHECK(probe_repository(store, "main").empty());

    CHECK_FALSE(store.written.empty());
    CHECK_FALSE(store.info(store.written));
}

TEST_CASE("what a probe writes can be taken for nothing else", "[check]")
{
    RestrictedStorage store(Refused::nothing);
    probe_repository(store, "main");
    const std::string first = store.written;
    probe_repository(store, "main");

    CHECK(first != store.written); // or a store that keeps all would refuse it
    CHECK(parent_path(first) == repository::archive_path("main"));
    CHECK_FALSE(repository::parse_archive_id(file_name(first)));
    CHECK_FALSE(repository::parse_wal_object_name(file_name(first)));
}

TEST_CASE("a probe tells each step that is refused, and goes on", "[check]")
{
    const auto& [refused, expected, stays] = GENERATE(table<Refused, ProbeStep, bool>({
        {Refused::list, ProbeStep::list, false},
        {Refused::create, ProbeStep::write, false},
        {Refused::commit, ProbeStep::write, false},
        {Refused::open, ProbeStep::read, false},
        {Refused::remove, ProbeStep::remove, true},
    }));
    RestrictedStorage store(refused);

    const auto failures = probe_repository(store, "main");

    CHECK(steps(failures) == std::vector{expected});
    CHECK(failures.at(0).error.code() == ErrorCode::access);
    CHECK(is_refused_removal(failures.at(0)) == (refused == Refused::remove));
    CHECK(store.info(store.written.empty() ? "x" : store.written).has_value() == stays);
}

TEST_CASE("only a right that is missing excuses a removal that fails", "[check]")
{
    const auto& [code, is_excused] =
        GENERATE(table<ErrorCode, bool>({{ErrorCode::access, true},
                                         {ErrorCode::file_remove, true},
                                         {ErrorCode::service, false},
                                         {ErrorCode::host_connect, false}}));
    RestrictedStorage store(Refused::remove, code);

    CHECK(is_refused_removal(probe_repository(store, "main").at(0)) == is_excused);
}

TEST_CASE("a probe is not content with being told that all is well", "[check][bug-33]")
{
    RestrictedStorage store(Refused::nothing);
    ProbeStep expected = ProbeStep::read;
    SECTION("when something else is read")
    {
        store.other_text = "something else";
    }
    SECTION("when the listing does not show it")
    {
        store.hides_names = true;
        expected = ProbeStep::list;
    }
    SECTION("when it is still there after its removal")
    {
        store.keeps_files = true;
        expected = ProbeStep::remove;
    }
    if (store.other_text.empty() && !store.hides_names && !store.keeps_files) {
        return;
    }
    CHECK(steps(probe_repository(store, "main")) == std::vector{expected});
}

TEST_CASE("what a check left that died is removed by one a day later", "[check]")
{
    const auto& [name, age, stays] = GENERATE(table<std::string, UnixSeconds, bool>(
        {{"check-0123", 90000, false}, {"check-0123", 80000, true}, {"else-0123", 90000, true}}));
    CAPTURE(name, age);
    RestrictedStorage store(Refused::nothing);
    const auto path = repository::archive_path("main") + "/" + name;
    storage::write_file(store, path, as_bytes("x"));
    store.older_name = name;
    store.older_seconds = age;

    CHECK(probe_repository(store, "main").empty());

    CHECK(store.info(path).has_value() == stays);
    CHECK_FALSE(store.info(store.written));
}

TEST_CASE("a probe ends with the process", "[check][bug-57]")
{
    RestrictedStorage store(Refused::create, ErrorCode::terminated);

    CHECK_THROWS_AS(probe_repository(store, "main"), Error);
}
