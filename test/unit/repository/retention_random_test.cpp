// SPDX-License-Identifier: PostgreSQL
#include "support/rounds.hpp"
#include "unit/repository/retention_fixture.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <set>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

// The classic rules once more, as slow and plain as they can be written down.
namespace {

using Backups = std::vector<BackupSummary>;

bool builds_on(const Backups& all, const BackupSummary& backup, const std::string& label)
{
    for (const BackupSummary& other : all) {
        if (other.label == backup.prior) {
            return other.label == label || builds_on(all, other, label);
        }
    }
    return false;
}

void expire_with_dependents(Backups& all, const std::string& label)
{
    const Backups before = all;
    std::erase_if(all, [&](const BackupSummary& backup) {
        return backup.label == label || builds_on(before, backup, label);
    });
}

Backups of_types(const Backups& all, const std::set<BackupType>& types)
{
    Backups found;
    std::ranges::copy_if(all, std::back_inserter(found), [&](const BackupSummary& backup) {
        return types.contains(backup.type);
    });
    return found;
}

void expire_fulls_by_count(Backups& all, std::uint64_t count)
{
    Backups fulls = of_types(all, {BackupType::full});
    while (fulls.size() > count) {
        expire_with_dependents(all, fulls.front().label);
        fulls.erase(fulls.begin());
    }
}

// Returns whether there was a full older than the days.
bool expire_fulls_by_days(Backups& all, std::uint64_t days)
{
    const Backups fulls = of_types(all, {BackupType::full});
    for (auto full = fulls.rbegin(); full != fulls.rend(); ++full) {
        if (full->stop_time < kNow - static_cast<UnixSeconds>(days) * kDay) {
            for (auto older = full + 1; older != fulls.rend(); ++older) {
                expire_with_dependents(all, older->label);
            }
            return true;
        }
    }
    return false;
}

void expire_diffs(Backups& all, std::uint64_t count)
{
    const Backups listed = of_types(all, {BackupType::full, BackupType::diff});
    for (std::size_t i = 0; i + count < listed.size(); ++i) {
        if (listed[i].type == BackupType::diff) {
            expire_with_dependents(all, listed[i].label);
        }
    }
}

// Whether a segment of a generation stays, by what is left of the backups.
bool stays(const Backups& all,
           const Backups& counted,
           std::uint64_t count,
           ArchiveId id,
           const std::string& segment,
           bool is_current)
{
    if (counted.size() < count) {
        return true;
    }
    const Backups newest(counted.end() - static_cast<std::ptrdiff_t>(count), counted.end());
    const BackupSummary* from = nullptr;
    for (const BackupSummary& backup : newest) {
        if (backup.archive_id == id && from == nullptr) {
            from = &backup;
        }
    }
    for (auto backup = counted.rbegin(); backup != counted.rend() && from == nullptr; ++backup) {
        from = backup->archive_id == id ? &*backup : nullptr;
    }
    if (from == nullptr) {
        return is_current;
    }
    if (segment >= from->start_wal) {
        return true;
    }
    return std::ranges::any_of(all, [&](const BackupSummary& backup) {
        return backup.archive_id == id && backup.label < from->label &&
               backup.start_wal <= segment && segment <= backup.stop_wal;
    });
}

class RandomCase {
public:
    explicit RandomCase(unsigned seed) : random_(seed)
    {
        const unsigned backups = number(0, 14);
        for (unsigned i = 0; i < backups; ++i) {
            if (number(0, 9) == 0) {
                builder.upgrade();
                needs_full_ = true;
            }
            if (number(0, 9) == 0) {
                builder.switch_timeline();
            }
            const char type = needs_full_ ? 'F' : std::string("FDII").at(number(0, 3));
            needs_full_ = false;
            builder.add(fmt::format("{}{}", type, i), 15.0 - i);
        }
        if (number(0, 3) != 0) {
            policy.full = number(1, 5);
        }
        policy.full_type = number(0, 2) == 0 ? FullRetention::days : FullRetention::count;
        if (policy.full && policy.full_type == FullRetention::days) {
            policy.full = number(1, 16);
        }
        if (number(0, 1) == 0) {
            policy.diff = number(1, 6);
        }
        policy.archive_type =
            std::vector{BackupType::full, BackupType::diff, BackupType::incr}.at(number(0, 2));
        if (number(0, 2) != 0) {
            policy.archive = number(1, 6);
        }
    }

    CatalogBuilder builder;
    RetentionPolicy policy;

private:
    unsigned number(unsigned first, unsigned last)
    {
        return std::uniform_int_distribution<unsigned>(first, last)(random_);
    }

    std::mt19937 random_;
    bool needs_full_ = true;
};

void check_wal(RandomCase& sample, const RetentionPlan& plan, const Backups& left, bool is_time_met)
{
    const RetentionPolicy& policy = sample.policy;
    const bool is_by_days = policy.full && policy.full_type == FullRetention::days;
    std::set<BackupType> types = {BackupType::full};
    if (policy.archive_type != BackupType::full) {
        types.insert(BackupType::diff);
    }
    if (policy.archive_type == BackupType::incr) {
        types.insert(BackupType::incr);
    }
    const Backups counted = of_types(left, types);
    std::optional<std::uint64_t> count = policy.archive;
    if (!count && is_by_days && policy.archive_type == BackupType::full && is_time_met) {
        count = counted.size();
    }
    for (const ArchivePlan& archive : plan.archives) {
        const bool is_current = archive.id == plan.archives.back().id;
        for (const unsigned timeline : {1U, 2U, 3U}) {
            for (unsigned n = 5; n < 160; n += 1) {
                const auto segment = fmt::format("{:08X}00000000{:08X}", timeline, n);
                const bool expected = !count || left.empty() ||
                                      stays(left, counted, *count, archive.id, segment, is_current);
                if (is_kept(archive, segment) != expected) {
                    CAPTURE(to_string(archive.id), segment);
                    CHECK(is_kept(archive, segment) == expected);
                }
            }
        }
    }
}

} // namespace

TEST_CASE("random catalogs are judged as by the plainest reading of the classic rules",
          "[retention][bug-29]")
{
    std::size_t removed = 0;
    for (unsigned seed = 1; seed <= rounds(4000); ++seed) {
        CAPTURE(seed);
        RandomCase sample(seed);
        const RetentionPolicy& policy = sample.policy;
        Backups left = sample.builder.catalog().backups;
        bool is_time_met = false;
        if (policy.full && policy.full_type == FullRetention::count) {
            expire_fulls_by_count(left, *policy.full);
        } else if (policy.full) {
            is_time_met = expire_fulls_by_days(left, *policy.full);
        }
        if (policy.diff) {
            expire_diffs(left, *policy.diff);
        }

        const RetentionPlan plan = plan_retention(sample.builder.catalog(), policy, kNow);

        Backups expected = sample.builder.catalog().backups;
        std::erase_if(expected, [&](const BackupSummary& backup) {
            return std::ranges::find(plan.removals, backup.label) != plan.removals.end();
        });
        removed += plan.removals.size();
        REQUIRE(
            std::ranges::equal(left, expected, {}, &BackupSummary::label, &BackupSummary::label));
        check_wal(sample, plan, left, is_time_met);
    }
    CHECK(removed > rounds(4000));
}

TEST_CASE("whatever the rules are, what is left can be restored", "[retention][bug-34]")
{
    for (unsigned seed = 1; seed <= rounds(2000); ++seed) {
        CAPTURE(seed);
        RandomCase sample(seed);
        std::mt19937 random(seed);
        for (BackupSummary& backup : sample.builder.catalog().backups) {
            backup.is_pinned = random() % 8 == 0;
            backup.retain = random() % 4 == 0 ? random() % (20 * kDay) : 0;
            backup.schedule = random() % 4 == 0 ? "daily" : "";
        }
        sample.policy.schedules = {{"daily", random() % (20 * kDay)}};
        if (random() % 2 == 0) {
            sample.policy.keep = KeepCounts{.daily = random() % 4, .weekly = random() % 3};
        }
        if (random() % 2 == 0) {
            sample.policy.pitr = random() % (20 * kDay);
        }
        const auto& backups = sample.builder.catalog().backups;

        const RetentionPlan plan = plan_retention(sample.builder.catalog(), sample.policy, kNow);

        const std::set<std::string> gone(plan.removals.begin(), plan.removals.end());
        CHECK((backups.empty() || gone.size() < backups.size()));
        for (const BackupSummary& backup : backups) {
            if (gone.contains(backup.label)) {
                CHECK_FALSE(backup.is_pinned);
                continue;
            }
            CHECK(std::ranges::none_of(backup.references,
                                       [&](const auto& label) { return gone.contains(label); }));
            for (const ArchivePlan& archive : plan.archives) {
                if (archive.id == backup.archive_id) {
                    CHECK(is_kept(archive, backup.start_wal));
                    CHECK(is_kept(archive, backup.stop_wal));
                }
            }
        }
    }
}
