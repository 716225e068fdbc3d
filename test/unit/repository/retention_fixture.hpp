// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/retention.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace pgstrata::test {

inline constexpr UnixSeconds kHour = 3600;
inline constexpr UnixSeconds kDay = 86400;
// A Friday: 2027-01-01 00:00:00 UTC.
inline constexpr UnixSeconds kNow = 1798761600;

// A catalog in which backups have short names: "F1", "D1", "I1"... Each begins at the time that is
// given in days before kNow, has ended an hour later, and fills the segments 10n+1 to 10n+2, where
// n counts the backups.
class CatalogBuilder {
public:
    CatalogBuilder() { catalog_.archives = {{15, 1}}; }

    repository::BackupSummary& add(const std::string& name, double days_ago)
    {
        repository::BackupSummary backup;
        const auto type = name.front() == 'F'   ? repository::BackupType::full
                          : name.front() == 'D' ? repository::BackupType::diff
                                                : repository::BackupType::incr;
        backup.type = type;
        backup.start_time = kNow - static_cast<UnixSeconds>(days_ago * kDay);
        backup.stop_time = backup.start_time + kHour;
        if (type != repository::BackupType::full) {
            backup.prior = type == repository::BackupType::diff ? labels_.at(full_) : last_label_;
            backup.references = references(backup.prior);
        }
        backup.label = repository::make_backup_label(
            type, full_.empty() ? "" : labels_.at(full_), backup.start_time);
        full_ = type == repository::BackupType::full ? name : full_;
        backup.archive_id = catalog_.archives.back();
        backup.timeline = timeline_;
        backup.start_wal = segment(10 * ++count_ + 1);
        backup.stop_wal = segment(10 * count_ + 2);
        backup.start_lsn.value = (std::uint64_t{10} * count_ + 1) << 24U;
        backup.stop_lsn.value = (std::uint64_t{10} * count_ + 3) << 24U;
        labels_[name] = backup.label;
        names_[backup.label] = name;
        last_label_ = backup.label;
        const auto place = std::ranges::upper_bound(
            catalog_.backups, backup.label, {}, &repository::BackupSummary::label);
        return *catalog_.backups.insert(place, std::move(backup));
    }
    // The backups of "F D I I F" are called F1, D1, I1, I2, F2, and are days apart; the last was
    // `days_ago`.
    void add_all(const std::string& types, double days_ago = 1)
    {
        std::map<char, int> numbers;
        double days = days_ago + static_cast<double>(types.size()) - 1;
        for (const char type : types) {
            add(fmt::format("{}{}", type, ++numbers[type]), days);
            days -= 1;
        }
    }
    void upgrade()
    {
        catalog_.archives.push_back({16, catalog_.archives.back().number + 1});
        timeline_ = 1;
        count_ = 0;
    }
    void switch_timeline() { ++timeline_; }
    repository::BackupSummary& at(const std::string& name)
    {
        return *std::ranges::find(
            catalog_.backups, labels_.at(name), &repository::BackupSummary::label);
    }
    // Its summary cannot be read.
    void damage(const std::string& name)
    {
        catalog_.unreadable.push_back(labels_.at(name));
        std::erase_if(catalog_.backups,
                      [&](const auto& backup) { return backup.label == labels_.at(name); });
    }
    // It is known that it cannot be restored.
    void flaw(const std::string& name) { catalog_.flawed.push_back(labels_.at(name)); }
    const std::string& label(const std::string& name) const { return labels_.at(name); }
    std::string name(const std::string& label) const
    {
        const auto found = names_.find(label);
        return found == names_.end() ? label : found->second;
    }
    repository::RetentionCatalog& catalog() { return catalog_; }

    // The names of what a plan leaves, in the order of labels.
    std::string left(const repository::RetentionPlan& plan) const
    {
        std::string text;
        for (const auto& backup : catalog_.backups) {
            if (std::ranges::find(plan.removals, backup.label) == plan.removals.end()) {
                text += (text.empty() ? "" : " ") + name(backup.label);
            }
        }
        return text;
    }
    std::string left(const repository::RetentionPolicy& policy,
                     const repository::RetentionRequest& request = {}) const
    {
        return left(repository::plan_retention(catalog_, policy, kNow, request));
    }
    std::string segment(unsigned number) const
    {
        return fmt::format("{:08X}00000000{:08X}", timeline_, number);
    }

private:
    std::vector<std::string> references(const std::string& prior) const
    {
        const auto found =
            std::ranges::find(catalog_.backups, prior, &repository::BackupSummary::label);
        auto all = found == catalog_.backups.end() ? std::vector<std::string>{} : found->references;
        all.push_back(prior);
        return all;
    }

    repository::RetentionCatalog catalog_;
    std::map<std::string, std::string> labels_;
    std::map<std::string, std::string> names_;
    std::string full_;
    std::string last_label_;
    postgres::Timeline timeline_ = 1;
    unsigned count_ = 0;
};

// "1-2 5-": the numbers of the segments up to 60 of a timeline that are kept.
inline std::string kept_segments(const repository::ArchivePlan& plan,
                                 postgres::Timeline timeline = 1)
{
    constexpr unsigned kLast = 99;
    std::string text;
    bool is_open = false;
    for (unsigned number = 1; number <= kLast; ++number) {
        const bool is_kept =
            repository::is_kept(plan, fmt::format("{:08X}00000000{:08X}", timeline, number));
        if (is_kept && !is_open) {
            text += fmt::format("{}{}-", text.empty() ? "" : " ", number);
        } else if (!is_kept && is_open) {
            text += fmt::format("{}", number - 1);
        }
        is_open = is_kept;
    }
    return text;
}

// As it is when only repo-retention-full is set.
inline repository::RetentionPolicy keep_fulls(std::uint64_t count)
{
    repository::RetentionPolicy policy;
    policy.full = count;
    policy.archive = count;
    return policy;
}

} // namespace pgstrata::test
