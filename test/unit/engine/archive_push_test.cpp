// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "unit/engine/archive_fixture.hpp"
#include "unit/postgres/wal_builder.hpp"

#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/hex.hpp"

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

std::size_t objects_in(const MemoryRepository& memory)
{
    return ArchiveRun::objects(memory).size();
}

// A target that tells of each listing and each new object before it is passed on to `inner`.
struct WatchedTarget {
    WatchedTarget(storage::Storage& inner, std::function<void(const std::string&)> watch)
        : storage(inner,
                  [watch = std::move(watch)](StorageCall call, std::string_view) {
                      if (call == StorageCall::list || call == StorageCall::create) {
                          watch(call == StorageCall::list ? "list" : "create");
                      }
                  }),
          repository(repository::Repository::open(storage, {}))
    {
    }
    HookedStorage storage;
    std::unique_ptr<repository::Repository> repository;
};

// Its listings are counted, and cost what a test says.
class CountedListings final : public PassingStorage {
public:
    CountedListings(storage::Storage& inner, bool is_cheap)
        : PassingStorage(inner), is_cheap_(is_cheap)
    {
    }
    bool is_listing_cheap() const noexcept override { return is_cheap_; }
    void list(std::string_view directory, const Visitor& visit) const override
    {
        ++count_;
        PassingStorage::list(directory, visit);
    }
    int count() const noexcept { return count_; }

private:
    bool is_cheap_;
    mutable int count_ = 0;
};

// Where two who do the same at the same time meet.
class MeetingPoint {
public:
    // Waits for the other one, for a while.
    void arrive(const std::string& what)
    {
        std::unique_lock lock(mutex_);
        ++arrived_[what];
        changed_.notify_all();
        changed_.wait_for(lock, std::chrono::seconds(10), [&] { return arrived_[what] > 1; });
        missed_ += arrived_[what] > 1 ? 0U : 1U;
    }
    unsigned missed() const { return missed_; }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, unsigned> arrived_;
    unsigned missed_ = 0;
};

} // namespace

TEST_CASE("two targets are served at the same time, each failing by itself", "[engine][archive]")
{
    const bool is_refused = GENERATE(false, true);
    ArchiveRun run;
    run.add_second();
    MeetingPoint meeting;
    const WatchedTarget slow(*run.first.storage, [&](const std::string& what) {
        meeting.arrive(what);
        if (is_refused && what == "create") {
            raise(ErrorCode::service, "refused");
        }
    });
    const WatchedTarget other(*run.second->storage,
                              [&](const std::string& what) { meeting.arrive(what); });
    run.options.path = run.directory / kSegmentName;
    std::ofstream(run.options.path, std::ios::binary) << make_segment();

    const auto failures = push_wal(
        run.options,
        {{1, slow.repository.get(), run.cluster}, {2, other.repository.get(), run.cluster}});

    CHECK(meeting.missed() == 0);
    CHECK(objects_in(*run.second) == 1);
    CHECK(objects_in(run.first) == (is_refused ? 0 : 1));
    REQUIRE(failures.size() == (is_refused ? 1 : 0));
    if (is_refused) {
        CHECK(failures[0].index == 1);
        CHECK(failures[0].error.code() == ErrorCode::service);
    }
}

TEST_CASE("one target is served without another thread", "[engine][archive]")
{
    ArchiveRun run;
    std::set<std::thread::id> threads;
    const WatchedTarget target(*run.first.storage, [&](const std::string&) {
        threads.insert(std::this_thread::get_id());
    });
    run.options.path = run.directory / kSegmentName;
    std::ofstream(run.options.path, std::ios::binary) << make_segment();

    CHECK(push_wal(run.options, {{1, target.repository.get(), run.cluster}}).empty());

    CHECK(threads == std::set{std::this_thread::get_id()});
}

TEST_CASE("what was pushed is got back in every form", "[engine][archive][bug-50][bug-17]")
{
    ArchiveRun run(
        GENERATE(repository::CipherSetting(),
                 gcm_setting(),
                 repository::CipherSetting{codec::CipherType::aes_256_cbc, kGeneratedPassphrase}));
    run.options.compress_level = GENERATE(std::optional<int>(), std::optional<int>(3));
    run.options.workers = GENERATE(as<std::size_t>(), 1, 4);
    const auto [name, content] = GENERATE(table<std::string, std::string>({
        {kSegmentName, make_segment()},
        {std::string(kSegmentName) + ".partial", make_segment()},
        {std::string(kSegmentName) + ".00000028.backup", "START WAL LOCATION: 0/300028\n"},
        {"00000002.history", "1\t0/300000\treason\n"},
    }));
    run.push(name, content);
    CHECK((run.get(name) == content));
    CHECK(objects_in(run.first) == 1);
}

TEST_CASE("a segment notes when its transactions ended", "[engine][archive]")
{
    const auto setting =
        GENERATE(repository::CipherSetting(),
                 gcm_setting(),
                 repository::CipherSetting{codec::CipherType::aes_256_cbc, kGeneratedPassphrase});
    const bool has_transactions = GENERATE(true, false);
    ArchiveRun run(setting);
    run.options.compress_level = 1;
    run.options.workers = 2;
    run.cluster.system_identifier = 7000000000000000001U;
    WalBuilder wal;
    wal.append_text("something else");
    std::array<std::byte, 8> time{};
    for (const std::int64_t microseconds : {5'000'000, 7'000'000, 6'000'000}) {
        store(time.data(), microseconds);
        wal.append(1, has_transactions ? 0x00 : 0x10, time);
    }
    const auto segment = wal.segment(0);
    const std::string content(as_text(segment));

    run.push(kSegmentName, content);

    constexpr std::int64_t kEpoch = 946'684'800'000'000;
    const auto times = repository::read_wal_times(
        *run.first.repository,
        kStanza,
        run.cluster.id,
        repository::find_wal(*run.first.repository, kStanza, run.cluster.id, kSegmentName).at(0));
    CHECK(times.has_value() == has_transactions);
    CHECK((!times || *times == postgres::WalTimes{kEpoch + 5'000'000, kEpoch + 7'000'000}));
    CHECK((run.get(kSegmentName) == content));
}

TEST_CASE("pushing the same again is success and writes nothing", "[engine][archive][bug-18]")
{
    ArchiveRun run;
    run.push(kSegmentName, make_segment());
    const auto object = run.objects(run.first);
    run.options.compress_level = GENERATE(std::optional<int>(), std::optional<int>(1));
    run.push(kSegmentName, make_segment());
    CHECK(run.objects(run.first) == object);
    CHECK_THAT(run.warnings.text(), Catch::Contains("already exists in the repo1 archive"));
}

TEST_CASE("a file that is there already is not acknowledged before it is durable",
          "[engine][archive][bug-43]")
{
    ArchiveRun run;
    run.push(kSegmentName, make_segment());
    const std::string object = run.objects(run.first).front();
    run.add_second();
    std::string made_durable;
    HookedStorage storage(*run.first.storage, [&](StorageCall call, std::string_view path) {
        if (call == StorageCall::make_durable) {
            made_durable = path;
            raise(ErrorCode::path_sync, "input/output error");
        }
    });
    const auto repository = repository::Repository::open(storage, {});

    const auto failures = push_wal(
        run.options,
        {{1, repository.get(), run.cluster}, {2, run.second->repository.get(), run.cluster}});

    CHECK(made_durable == object);
    REQUIRE(failures.size() == 1);
    CHECK(failures[0].index == 1);
    CHECK(failures[0].error.code() == ErrorCode::path_sync);
    CHECK(objects_in(*run.second) == 1);
}

TEST_CASE("of two who store the same at the same time the later waits until it is durable",
          "[engine][archive][bug-43]")
{
    const bool can_sync = GENERATE(true, false);
    ArchiveRun run;
    run.options.path = run.directory / kSegmentName;
    std::ofstream(run.options.path, std::ios::binary) << make_segment();
    bool is_first = true;
    std::size_t made_durable = 0;
    HookedStorage storage(*run.first.storage, [&](StorageCall call, std::string_view) {
        if (call == StorageCall::create && std::exchange(is_first, false)) {
            CHECK(push_wal(run.options, {{1, run.first.repository.get(), run.cluster}}).empty());
        } else if (call == StorageCall::make_durable) {
            ++made_durable;
            if (!can_sync) {
                raise(ErrorCode::path_sync, "input/output error");
            }
        }
    });
    const auto repository = repository::Repository::open(storage, {});

    const auto failures = push_wal(run.options, {{1, repository.get(), run.cluster}});

    CHECK(made_durable == 1);
    CHECK(failures.empty() == can_sync);
    CHECK(objects_in(run.first) == 1);
}

TEST_CASE("what was archived under a SHA-256 is known again", "[engine][archive][bug-18]")
{
    ArchiveRun run;
    const std::string stored = make_segment("one");
    const std::string digest = to_hex(ByteView(codec::sha256(as_bytes(stored))).first(20));
    storage::write_file(
        *run.first.storage,
        fmt::format("{}/{}",
                    repository::wal_directory(kStanza, run.cluster.id, kSegmentName),
                    repository::to_string({kSegmentName, digest, false})),
        as_bytes(stored));

    run.push(kSegmentName, stored);

    CHECK(objects_in(run.first) == 1);
    CHECK((run.get(kSegmentName) == stored));
    CHECK_THROWS_MATCHES(
        run.push(kSegmentName, make_segment("two")), Error, HasCode(ErrorCode::archive_duplicate));
}

TEST_CASE("other contents under a name are refused and stored nowhere", "[engine][archive][bug-18]")
{
    ArchiveRun run;
    const std::string name = GENERATE(as<std::string>(), kSegmentName, "00000002.history");
    const bool is_history = name != kSegmentName;
    run.push(name, is_history ? "1\t0/300000\tx\n" : make_segment("one"));
    run.add_second();

    CHECK_THROWS_MATCHES(run.push(name, is_history ? "1\t0/400000\tx\n" : make_segment("two")),
                         Error,
                         HasCode(ErrorCode::archive_duplicate));
    CHECK(objects_in(run.first) == 1);
    CHECK(objects_in(*run.second) == 0);
}

TEST_CASE("of two who store other contents at the same time one is told so",
          "[engine][archive][bug-18]")
{
    ArchiveRun run;
    const std::string name = "000000010000000000000003";
    const std::string theirs = run.directory / "theirs";
    std::filesystem::create_directory(theirs);
    PushOptions other = run.options;
    other.check_header = run.options.check_header = false;
    other.path = theirs + "/" + name;
    std::ofstream(other.path) << "theirs";
    bool is_first = true;
    const WatchedTarget watched(*run.first.storage, [&](const std::string& what) {
        if (what == "create" && std::exchange(is_first, false)) {
            CHECK(push_wal(other, {{1, run.first.repository.get(), run.cluster}}).empty());
        }
    });
    run.options.path = run.directory / name;
    std::ofstream(run.options.path) << "ours";

    CHECK_THROWS_MATCHES(push_wal(run.options, {{1, watched.repository.get(), run.cluster}}),
                         Error,
                         HasCode(ErrorCode::archive_duplicate));
    CHECK(objects_in(run.first) == 2);
}

TEST_CASE("who has stored a file looks again only where listing is cheap", "[engine][archive]")
{
    const bool is_cheap = GENERATE(false, true);
    ArchiveRun run;
    CountedListings storage(*run.first.storage, is_cheap);
    const auto repository = repository::Repository::open(storage, {});
    run.options.check_header = false;
    run.options.path = run.directory / "000000010000000000000003";
    std::ofstream(run.options.path) << "segment";

    CHECK(push_wal(run.options, {{1, repository.get(), run.cluster}}).empty());

    CHECK(storage.count() == (is_cheap ? 2 : 1));
}

TEST_CASE("the WAL of another cluster, version or place is refused",
          "[engine][archive][bug-18][bug-19]")
{
    ArchiveRun run;
    const std::string suffix = GENERATE("", ".partial");
    std::string name = kSegmentName;
    std::string content = make_segment();
    SECTION("another system identifier")
    {
        run.cluster.system_identifier = 1;
    }
    SECTION("another version")
    {
        run.cluster.id.major = 16;
    }
    SECTION("another name")
    {
        name = "000000010000000000000004";
    }
    SECTION("a later timeline than the name's")
    {
        content = make_segment("x", 2);
    }
    SECTION("an unknown version")
    {
        content[0] = '\x01';
    }
    CHECK_THROWS_MATCHES(
        run.push(name + suffix, content), Error, HasCode(ErrorCode::archive_mismatch));
    CHECK(objects_in(run.first) == 0);
}

TEST_CASE("a segment that begins on the timeline before its own is accepted",
          "[engine][archive][bug-21]")
{
    ArchiveRun run;
    const std::string name = "0000000A0000000000000003";
    run.push(name, make_segment("x", 9));
    CHECK((run.get(name) == make_segment("x", 9)));
}

TEST_CASE("a segment of the wrong size is refused", "[engine][archive][bug-17][bug-22]")
{
    ArchiveRun run;
    const std::string whole = make_segment();
    const std::size_t size =
        GENERATE(as<std::size_t>(), 0, 1, 39, 40, (1U << 20U) - 1, (1U << 20U) + 1, 2U << 20U);
    std::string content = whole + whole;
    content.resize(size);
    CAPTURE(size);
    CHECK_THROWS_MATCHES(run.push(kSegmentName, content), Error, HasCode(ErrorCode::format));
    CHECK(objects_in(run.first) == 0);
}

TEST_CASE("a segment that holds no WAL is refused", "[engine][archive][bug-19]")
{
    ArchiveRun run;
    CHECK_THROWS_MATCHES(
        run.push(kSegmentName, std::string(1U << 20U, '\0')), Error, HasCode(ErrorCode::format));
}

TEST_CASE("headers are not looked at where that is off", "[engine][archive]")
{
    ArchiveRun run;
    run.options.check_header = false;
    run.cluster.system_identifier = 1;
    run.push(kSegmentName, make_segment());
    CHECK(objects_in(run.first) == 1);
}

TEST_CASE("only WAL files are pushed", "[engine][archive][bug-52]")
{
    ArchiveRun run;
    const std::string name = GENERATE("postgresql.conf",
                                      "00000001000000000000000g",
                                      "000000010000000000000003.gz",
                                      "0000000a.history",
                                      "000000010000000000000003.ready");
    CHECK_THROWS_MATCHES(
        run.push(name, make_segment()), Error, HasCode(ErrorCode::parameter_invalid));
}

TEST_CASE("a file that is not there or is no file is not pushed", "[engine][archive][bug-17]")
{
    ArchiveRun run;
    run.options.path = run.directory / kSegmentName;
    CHECK_THROWS_MATCHES(
        push_wal(run.options, run.targets()), Error, HasCode(ErrorCode::file_missing));
    std::filesystem::create_directory(run.options.path);
    CHECK_THROWS_MATCHES(push_wal(run.options, run.targets()), Error, HasCode(ErrorCode::format));
}

TEST_CASE("a file that changes while it is read is not stored", "[engine][archive][bug-17]")
{
    bool is_refused = false;
    for (int tries = 0; tries < 100 && !is_refused; ++tries) {
        ArchiveRun run;
        run.options.path = run.directory / kSegmentName;
        std::ofstream(run.options.path, std::ios::binary) << make_segment();
        const std::jthread writer([&](const std::stop_token& token) {
            while (!token.stop_requested()) {
                std::filesystem::last_write_time(run.options.path,
                                                 std::filesystem::file_time_type::clock::now());
            }
        });
        try {
            static_cast<void>(push_wal(run.options, run.targets()));
        } catch (const Error& error) {
            is_refused = true;
            CHECK(error.code() == ErrorCode::file_read);
            CHECK_THAT(error.what(), Catch::Contains("changed while it was read"));
            CHECK(objects_in(run.first) == 0);
        }
    }
    CHECK(is_refused);
}

TEST_CASE("a target that fails does not keep the file from the others, and is reported",
          "[engine][archive][bug-45]")
{
    for (std::uint64_t n = 1;; ++n) {
        ArchiveRun run;
        run.add_second();
        run.fault.code = ErrorCode::service;
        run.fault.stay_broken = true;
        run.fault.fail_at = n;
        run.fault.count = 0;
        CAPTURE(n);
        try {
            run.push(kSegmentName, make_segment());
            CHECK(n > 5); // list, create, write, commit, list once more
            break;
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::command);
            CHECK_THAT(error.what(), Catch::Contains("repo1: [101]"));
        }
        CHECK(objects_in(run.first) == (n > 4 ? 1 : 0));
        CHECK((run.get_from(*run.second, kSegmentName) == make_segment()));
    }
}

TEST_CASE("a push that is acknowledged can be read, whatever failed",
          "[engine][archive][bug-45][bug-25]")
{
    const bool stays_broken = GENERATE(false, true);
    const auto setting = GENERATE(repository::CipherSetting(), gcm_setting());
    const auto level = GENERATE(std::optional<int>(), std::optional<int>(1));
    bool is_done = false;
    for (std::uint64_t n = 1; !is_done; ++n) {
        ArchiveRun run(setting);
        run.options.compress_level = level;
        run.fault.stay_broken = stays_broken;
        run.fault.fail_at = n;
        run.fault.count = 0;
        CAPTURE(n);
        try {
            run.push(kSegmentName, make_segment());
            is_done = true;
            run.fault.fail_at = 0;
            CHECK((run.get(kSegmentName) == make_segment()));
        } catch (const Error& error) {
            // The server tries again, and must not be kept from it by what is left.
            const bool is_stored = n > 1 && std::string_view(error.what()).find("unable to list") !=
                                                std::string_view::npos;
            CHECK(objects_in(run.first) == (is_stored ? 1 : 0));
            run.fault.fail_at = 0;
            run.push(kSegmentName, make_segment());
            CHECK((run.get(kSegmentName) == make_segment()));
        }
        REQUIRE(n < 100);
    }
}
