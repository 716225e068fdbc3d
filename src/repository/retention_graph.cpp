// SPDX-License-Identifier: PostgreSQL
#include "repository/retention_graph.hpp"

#include <algorithm>

namespace pgstrata::repository {

RetentionGraph::RetentionGraph(const RetentionCatalog& catalog) : catalog_(catalog)
{
    nodes_.resize(catalog.backups.size());
    for (std::size_t i = 0; i < size(); ++i) {
        const BackupSummary& backup = catalog.backups[i];
        if (auto label = parse_backup_label(backup.label)) {
            nodes_[i].family = std::move(label->full);
            nodes_[i].time = label->time;
        }
        nodes_[i].is_flawed =
            std::ranges::find(catalog.flawed, backup.label) != catalog.flawed.end();
        if (!backup.prior.empty()) {
            link(i, backup.prior);
        }
        for (const std::string& label : backup.references) {
            link(i, label);
        }
    }
    Flags broken(size());
    for (std::size_t i = 0; i < size(); ++i) {
        broken[i] = nodes_[i].is_broken;
    }
    add_dependents(broken);
    for (std::size_t i = 0; i < size(); ++i) {
        nodes_[i].is_broken = broken[i];
    }
}

void RetentionGraph::link(std::size_t i, const std::string& label)
{
    if (const auto needed = find(label)) {
        nodes_[i].needs.push_back(*needed);
        nodes_[*needed].needed_by.push_back(i);
    } else if (std::ranges::find(catalog_.unreadable, label) == catalog_.unreadable.end()) {
        nodes_[i].is_broken = true;
    }
}

std::optional<std::size_t> RetentionGraph::find(std::string_view label) const
{
    const auto& backups = catalog_.backups;
    const auto found = std::ranges::lower_bound(
        backups, label, {}, [](const BackupSummary& b) -> std::string_view { return b.label; });
    return found != backups.end() && found->label == label
               ? std::optional(static_cast<std::size_t>(found - backups.begin()))
               : std::nullopt;
}

std::optional<std::size_t> RetentionGraph::newest() const
{
    std::optional<std::size_t> newest;
    for (std::size_t i = 0; i < size(); ++i) {
        if (can_be_restored(i) && (!newest || time(i) >= time(*newest))) {
            newest = i;
        }
    }
    return newest;
}

void RetentionGraph::add_needed(Flags& flags) const
{
    spread(flags, &Node::needs);
}

void RetentionGraph::add_dependents(Flags& flags) const
{
    spread(flags, &Node::needed_by);
}

void RetentionGraph::spread(Flags& flags, std::vector<std::size_t> Node::*edges) const
{
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < size(); ++i) {
        if (flags[i]) {
            open.push_back(i);
        }
    }
    while (!open.empty()) {
        const std::size_t i = open.back();
        open.pop_back();
        for (const std::size_t next : nodes_[i].*edges) {
            if (!flags[next]) {
                flags[next] = true;
                open.push_back(next);
            }
        }
    }
}

} // namespace pgstrata::repository
