// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/retention.hpp"

namespace pgstrata::repository {

// One for each backup.
using Flags = std::vector<bool>;

// What builds on what. The catalog must outlive it.
class RetentionGraph {
public:
    explicit RetentionGraph(const RetentionCatalog& catalog);

    std::size_t size() const noexcept { return nodes_.size(); }
    const BackupSummary& operator[](std::size_t i) const { return catalog_.backups[i]; }
    const RetentionCatalog& catalog() const noexcept { return catalog_; }
    std::optional<std::size_t> find(std::string_view label) const;
    // Label of the full at the root, and the time in the label.
    const std::string& family(std::size_t i) const { return nodes_[i].family; }
    UnixSeconds time(std::size_t i) const { return nodes_[i].time; }
    // Something that it builds on, directly or not, is gone: it cannot be restored.
    bool is_broken(std::size_t i) const { return nodes_[i].is_broken; }
    // It is itself one that cannot.
    bool is_flawed(std::size_t i) const { return nodes_[i].is_flawed; }
    bool can_be_restored(std::size_t i) const { return !is_broken(i) && !is_flawed(i); }
    // Of those that can be restored.
    std::optional<std::size_t> newest() const;

    // Adds what they build on, and what that builds on.
    void add_needed(Flags& flags) const;
    // Adds what builds on them, and on that.
    void add_dependents(Flags& flags) const;

private:
    struct Node {
        std::string family;
        UnixSeconds time = 0;
        bool is_broken = false;
        bool is_flawed = false;
        std::vector<std::size_t> needs;
        std::vector<std::size_t> needed_by;
    };

    void link(std::size_t i, const std::string& label);
    void spread(Flags& flags, std::vector<std::size_t> Node::*edges) const;

    const RetentionCatalog& catalog_;
    std::vector<Node> nodes_;
};

} // namespace pgstrata::repository
