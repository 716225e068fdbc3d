// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_layout.hpp"

#include <cstdint>
#include <map>
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

// By the place of the directory on this host.
using DirectoryModes = std::map<std::string, std::uint32_t>;

// Makes the directories and links of a backup, or sets owner and mode of those that are there.
// Until close_tree() their owner may write to all of them; returns the modes that they are to have.
DirectoryModes
make_tree(const repository::Manifest& manifest, const RestoreLayout& layout, const Owners& owners);
// Takes that right from the directories that are to be without it, but for the data directory and
// that of pg_control: there the restore has to write until its end, and the server after it.
void close_tree(const DirectoryModes& modes, const RestoreLayout& layout);

} // namespace pgstrata::engine
