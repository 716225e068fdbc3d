// SPDX-License-Identifier: PostgreSQL
#include "support/rounds.hpp"
#include "unit/engine/backup_fixture.hpp"
#include "unit/engine/chain_fixture.hpp"
#include "unit/engine/fake_session.hpp"

#include "pgstrata/engine/expire.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/notes.hpp"

#include <nlohmann/json.hpp>

#include <random>
#include <set>

// A repository through a long random life: backups, expire, pins, and a death at any operation of
// any of them. Whatever happened, what is listed can be read as it was backed up.

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using repository::BackupType;

namespace {

using Files = std::map<std::string, std::string>;

class Life : BackupRun {
public:
    explicit Life(unsigned seed) : random_(seed)
    {
        options.compress_level = 1;
        backup.pack_size = 32U << 10U;
        backup.check_pages = false;
        backup.check_archive = false;
        backup.is_delta = true; // the clock is too coarse for what happens here
        for (int i = 0; i < kRelations; ++i) {
            change_relation(i);
        }
    }

    void live(int steps)
    {
        for (int step = 0; step < steps; ++step) {
            CAPTURE(step);
            const unsigned choice = below(10);
            if (choice < 5) {
                change_relation(static_cast<int>(below(kRelations)));
                take_backup();
            } else if (choice < 8) {
                expire_some();
            } else {
                decide_about_one();
            }
            check_listed();
        }
        end_of_life();
    }

private:
    static constexpr int kRelations = 4;

    unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

    void change_relation(int number)
    {
        std::string pages;
        const unsigned count = 1 + below(12);
        for (unsigned block = 0; block < count; ++block) {
            pages += make_page(block, static_cast<char>('a' + below(26)));
        }
        data.write(fmt::format("base/1/{}", 16384 + number), pages);
    }

    Files contents() const
    {
        Files all;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(data.path())) {
            if (entry.is_regular_file()) {
                all[std::filesystem::relative(entry.path(), data.path()).string()] =
                    read_text_file(entry.path().string());
            }
        }
        return all;
    }

    // Does it, and in every third case with a machine that dies on the way.
    template <typename Action>
    void with_luck(unsigned operations, Action&& action)
    {
        fault.count = 0;
        fault.stay_broken = true;
        fault.fail_at = below(3) == 0 ? 1 + below(operations) : 0;
        try {
            action();
        } catch (const Error& error) {
            CHECK(error.code() == fault.code);
        }
        fault.fail_at = 0;
        fault.stay_broken = false;
        forget_leases();
    }

    // The process that held them is dead, in truth this one: they become those of another host.
    void forget_leases() const
    {
        for (const std::string& label : repository::list_labels(*first.repository, kStanza)) {
            const std::string home = repository::backup_path(kStanza, label);
            for (const std::string& name : names_in(*first.storage, home)) {
                if (repository::parse_lease_name(name)) {
                    first.repository->write_document(fmt::format("{}/{}", home, name),
                                                     {{"host", "elsewhere.example"},
                                                      {"boot-id", "x"},
                                                      {"pid", 1U},
                                                      {"pid-started", 1U},
                                                      {"renewed", 1U}},
                                                     storage::WriteMode::replace);
                }
            }
        }
    }

    void archive_segment()
    {
        WalBuilder builder;
        builder.append_text("text");
        auto bytes = builder.segment(0);
        store(bytes.data() + 8, std::uint64_t{segment_} * WalBuilder::kSegmentSize);
        push(fmt::format("0000000100000000{:08X}", segment_), as_text(bytes));
    }

    void take_backup()
    {
        constexpr std::array kTypes{BackupType::full, BackupType::diff, BackupType::incr};
        FakeSession session;
        session.start.value = std::uint64_t{segment_} * WalBuilder::kSegmentSize + 0x28;
        session.stop.value = session.start.value + 0x100;
        session.current = session.start;
        archive_segment();
        ++segment_;
        backup.type = kTypes.at(below(kTypes.size()));
        backup.can_resume = below(4) != 0;
        with_luck(120, [&] { run(&session); });
        for (const auto& summary : repository::list_backups(*first.repository, kStanza)) {
            taken_.emplace(summary.label, contents());
        }
    }

    repository::RetentionPolicy some_policy()
    {
        repository::RetentionPolicy policy;
        policy.full = 1 + below(3);
        policy.archive = policy.full;
        if (below(2) == 0) {
            policy.diff = 1 + below(3);
        }
        if (below(4) == 0) {
            policy.keep = repository::KeepCounts{.daily = 2};
        }
        if (below(3) == 0) {
            policy.archive_type = BackupType::incr;
            policy.archive = 1 + below(3);
        }
        return policy;
    }

    void expire_some()
    {
        ExpireOptions expire_options;
        expire_options.stanza = kStanza;
        expire_options.policy = some_policy();
        const std::vector<std::string> before = listed();
        with_luck(60, [&] { expire(expire_options, *repository); });
        const std::vector<std::string> after = listed();
        CHECK(after.empty() == before.empty());
        for (const std::string& label : pinned_) {
            CAPTURE(label);
            CHECK(std::ranges::count(after, label) == 1);
        }
    }

    void decide_about_one()
    {
        const std::vector<std::string> labels = listed();
        if (labels.empty()) {
            return;
        }
        const std::string& label = labels[below(static_cast<unsigned>(labels.size()))];
        repository::BackupNote note;
        note.is_pinned = below(3) == 0;
        repository::write_note(*first.repository, kStanza, label, note);
        if (*note.is_pinned) {
            pinned_.insert(label);
        } else {
            pinned_.erase(label);
        }
    }

    std::vector<std::string> listed() const
    {
        std::vector<std::string> labels;
        for (const auto& summary : repository::list_backups(*first.repository, kStanza)) {
            labels.push_back(summary.label);
        }
        return labels;
    }

    void check_listed() const
    {
        for (const auto& summary : repository::list_backups(*first.repository, kStanza)) {
            CAPTURE(summary.label);
            const Files& files = taken_.at(summary.label);
            const auto found = manifest(summary.label);
            REQUIRE(found.files.size() == files.size());
            repository::PackReader reader(*first.repository, kStanza, found.packs);
            for (const auto& file : found.files) {
                CAPTURE(file.path);
                REQUIRE((read_through_chain(reader, *first.repository, found, file) ==
                         files.at(file.path)));
            }
            REQUIRE(repository::find_wal(
                        *first.repository, kStanza, summary.archive_id, summary.start_wal)
                        .size() == 1);
        }
    }

    // With nobody dying, one more expire leaves no remains but those that a next backup may go on
    // with.
    void end_of_life()
    {
        ExpireOptions expire_options;
        expire_options.stanza = kStanza;
        expire_options.policy.full = 1;
        expire_options.policy.archive = 1;
        expire(expire_options, *repository);
        forget_leases();
        const auto complete = listed();
        const auto all = repository::list_labels(*first.repository, kStanza);
        CHECK(all.size() <= complete.size() + 1);
        check_listed();
    }

    std::mt19937 random_;
    unsigned segment_ = 3;
    std::map<std::string, Files> taken_;
    std::set<std::string> pinned_;
};

} // namespace

TEST_CASE("what is listed can be read, whatever was made, expired, pinned and killed",
          "[engine][expire][model][bug-31][bug-32][bug-34]")
{
    for (unsigned seed = 1; seed <= rounds(25); ++seed) {
        CAPTURE(seed);
        Life(seed).live(60);
    }
}
