// SPDX-License-Identifier: PostgreSQL
#include "engine/target_space.hpp"

#include "pgstrata/util/path.hpp"

#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace pgstrata::engine {

namespace {

// Of filesystems that store each byte as it is: ext2 to ext4, xfs, tmpfs (statfs(2)).
constexpr std::array<std::uint64_t, 3> kExactFilesystems = {0xEF53, 0x58465342, 0x01021994};

std::string nearest_directory(std::string path)
{
    struct stat status {};
    while (path.size() > 1 && (::stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))) {
        path = parent_path(path);
    }
    return path;
}

void measure(TargetFilesystem& filesystem)
{
    struct statvfs room {};
    if (::statvfs(filesystem.path.c_str(), &room) != 0 || room.f_blocks == 0) {
        filesystem.path.clear();
        return;
    }
    const auto blocks = ::geteuid() == 0 ? room.f_bfree : room.f_bavail;
    filesystem.free = std::uint64_t{blocks} * room.f_frsize;
    struct statfs kind {};
    filesystem.is_exact =
        ::statfs(filesystem.path.c_str(), &kind) == 0 &&
        std::ranges::find(kExactFilesystems, static_cast<std::uint64_t>(kind.f_type)) !=
            kExactFilesystems.end();
}

} // namespace

TargetSpace::TargetSpace(const std::vector<std::string>& roots) : roots_(roots.begin(), roots.end())
{
}

void TargetSpace::need(const std::string& directory, std::uint64_t bytes)
{
    if (TargetFilesystem* filesystem = find(directory)) {
        filesystem->needed += bytes;
    }
}

void TargetSpace::reuse(const std::string& directory, std::uint64_t bytes)
{
    if (TargetFilesystem* filesystem = find(directory)) {
        filesystem->reused += bytes;
    }
}

std::vector<TargetFilesystem> TargetSpace::filesystems() const
{
    std::vector<TargetFilesystem> known;
    for (const auto& [device, filesystem] : filesystems_) {
        if (!filesystem.path.empty()) {
            known.push_back(filesystem);
        }
    }
    std::ranges::sort(known, {}, &TargetFilesystem::path);
    return known;
}

TargetFilesystem* TargetSpace::find(const std::string& directory)
{
    const std::optional<dev_t> device = device_of(directory);
    if (!device) {
        return nullptr;
    }
    const auto [place, is_new] = filesystems_.try_emplace(*device);
    if (is_new) {
        place->second.path = nearest_directory(directory);
        measure(place->second);
    }
    return &place->second;
}

std::optional<dev_t> TargetSpace::device_of(const std::string& directory)
{
    if (const auto known = devices_.find(directory); known != devices_.end()) {
        return known->second;
    }
    const auto device = look_up(directory);
    devices_.emplace(directory, device);
    return device;
}

std::optional<dev_t> TargetSpace::look_up(const std::string& directory)
{
    struct stat status {};
    if (roots_.contains(directory)) {
        return ::stat(nearest_directory(directory).c_str(), &status) == 0
                   ? std::optional(status.st_dev)
                   : std::nullopt;
    }
    if (directory.size() <= 1) {
        return std::nullopt; // below no root
    }
    const std::optional<dev_t> above = device_of(parent_path(directory));
    const bool is_there =
        above && ::lstat(directory.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    return is_there ? std::optional(status.st_dev) : above;
}

} // namespace pgstrata::engine
