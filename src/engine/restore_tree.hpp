// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_layout.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace pgstrata::engine {

// Where a name of the manifest leads on this host. Only root can give files away.
class Owners {
public:
    // Of names that this host does not have, files go to whom the data directory belongs.
    Owners(const repository::Manifest& manifest, const std::string& data_directory);
    // {~0U, ~0U} leaves the running user's.
    std::pair<std::uint32_t, std::uint32_t> find(std::uint16_t user, std::uint16_t group) const;
    // What has the right owner already is not touched. Links are not followed.
    void give(const std::string& path, std::uint16_t user, std::uint16_t group) const;

private:
    std::vector<std::uint32_t> users_;
    std::vector<std::uint32_t> groups_;
};

// Makes the directories and links of a backup, or sets owner and mode of those that are there.
void make_tree(const repository::Manifest& manifest,
               const RestoreLayout& layout,
               const Owners& owners);

} // namespace pgstrata::engine
