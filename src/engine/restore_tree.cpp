// SPDX-License-Identifier: PostgreSQL
#include "engine/restore_tree.hpp"

#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>

namespace pgstrata::engine {

namespace {

using repository::Manifest;

void set_mode(const std::string& path, std::uint32_t mode)
{
    struct stat status {};
    const bool has_mode = ::stat(path.c_str(), &status) == 0 && (status.st_mode & 07777U) == mode;
    if (!has_mode && ::chmod(path.c_str(), mode) != 0) {
        raise_errno(ErrorCode::file_mode, errno, fmt::format("set the mode of '{}'", path));
    }
}

class TreeMaker : NonCopyable {
public:
    TreeMaker(const Manifest& manifest, const RestoreLayout& layout, const Owners& owners)
        : manifest_(manifest), layout_(layout), owners_(owners)
    {
    }

    // Directories and links in one pass by path, so that each finds its parent.
    DirectoryModes make()
    {
        struct Step {
            std::string path;
            std::function<void()> make;
        };
        std::vector<Step> steps;
        for (const auto& directory : manifest_.directories) {
            const bool is_link =
                std::ranges::any_of(layout_.links(), [&](const RestoredLink& link) {
                    return link.path == directory.path;
                });
            if (!is_link) {
                steps.push_back({directory.path, [this, &directory] {
                                     make_directory(layout_.physical_path(directory.path),
                                                    directory.mode,
                                                    directory.user,
                                                    directory.group);
                                 }});
            }
        }
        for (const auto& link : layout_.plain()) {
            if (link.is_directory) {
                steps.push_back({link.path, [this, &link] {
                                     make_directory(layout_.physical_path(link.path),
                                                    link.mode,
                                                    link.user,
                                                    link.group);
                                 }});
            }
        }
        for (const RestoredLink& link : layout_.links()) {
            steps.push_back({link.path, [this, &link] { make_link(link); }});
        }
        std::ranges::stable_sort(steps, {}, &Step::path);
        for (const Step& step : steps) {
            step.make();
        }
        return std::move(modes_);
    }

private:
    void make_directory(const std::string& path,
                        std::uint32_t mode,
                        std::uint16_t user,
                        std::uint16_t group)
    {
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
            raise_errno(ErrorCode::path_create, errno, fmt::format("create directory '{}'", path));
        }
        owners_.give(path, user, group);
        set_mode(path, mode | S_IRWXU);
        modes_[path] = mode;
    }

    void make_link(const RestoredLink& link)
    {
        if (link.is_directory) {
            make_directory(link.target, link.mode, link.user, link.group);
        }
        const std::string place =
            join_path(layout_.physical_path(parent_path(link.path)), file_name(link.path));
        std::error_code failure;
        const bool is_there = std::filesystem::read_symlink(place, failure) == link.destination;
        if (!is_there && ::symlink(link.destination.c_str(), place.c_str()) != 0) {
            raise_errno(ErrorCode::link_destination, errno, fmt::format("create link '{}'", place));
        }
        owners_.give(place, link.user, link.group);
    }

    const Manifest& manifest_;
    const RestoreLayout& layout_;
    const Owners& owners_;
    DirectoryModes modes_;
};

} // namespace

Owners::Owners(const Manifest& manifest, const std::string& data_directory)
{
    if (::geteuid() != 0) {
        return;
    }
    struct stat status {};
    const bool is_there = ::stat(data_directory.c_str(), &status) == 0;
    for (const std::string& name : manifest.names) {
        const passwd* user = ::getpwnam(name.c_str());
        const group* group = ::getgrnam(name.c_str());
        users_.push_back(user != nullptr ? user->pw_uid : is_there ? status.st_uid : 0);
        groups_.push_back(group != nullptr ? group->gr_gid : is_there ? status.st_gid : 0);
    }
}

std::pair<std::uint32_t, std::uint32_t> Owners::find(std::uint16_t user, std::uint16_t group) const
{
    return users_.empty() ? std::pair(~0U, ~0U) : std::pair(users_.at(user), groups_.at(group));
}

void Owners::give(const std::string& path, std::uint16_t user, std::uint16_t group) const
{
    const auto [uid, gid] = find(user, group);
    struct stat status {};
    const bool is_right = uid == ~0U || (::lstat(path.c_str(), &status) == 0 &&
                                         status.st_uid == uid && status.st_gid == gid);
    if (!is_right && ::lchown(path.c_str(), uid, gid) != 0) {
        raise_errno(ErrorCode::file_owner, errno, fmt::format("set the owner of '{}'", path));
    }
}

DirectoryModes
make_tree(const Manifest& manifest, const RestoreLayout& layout, const Owners& owners)
{
    return TreeMaker(manifest, layout, owners).make();
}

void close_tree(const DirectoryModes& modes, const RestoreLayout& layout)
{
    const std::string data_directory = layout.physical_path("");
    const std::string control = parent_path(layout.physical_path(postgres::kControlFilePath));
    // Backwards: what is below a directory can be reached until that is closed.
    for (auto place = modes.rbegin(); place != modes.rend(); ++place) {
        const auto& [path, mode] = *place;
        if ((mode & S_IRWXU) != S_IRWXU && path != data_directory && path != control) {
            set_mode(path, mode);
        }
    }
}

} // namespace pgstrata::engine
