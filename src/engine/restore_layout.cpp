// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore_layout.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/data_directory.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace pgstrata::engine {

namespace {

using repository::Manifest;
using repository::ManifestDatabase;
using repository::ManifestLink;

constexpr std::string_view kTablespaces = "pg_tblspc/";

// The oid in "pg_tblspc/16400"; empty for other links.
std::string_view tablespace_oid(std::string_view link_path)
{
    if (!link_path.starts_with(kTablespaces)) {
        return {};
    }
    const std::string_view oid = link_path.substr(kTablespaces.size());
    return oid.find_first_not_of("0123456789") == std::string_view::npos ? oid : std::string_view();
}

std::optional<std::string> find_mapped(const std::vector<std::pair<std::string, std::string>>& map,
                                       std::string_view key)
{
    const auto found = std::ranges::find(map, key, &std::pair<std::string, std::string>::first);
    return found == map.end() ? std::nullopt : std::optional(found->second);
}

bool is_system_database(const ManifestDatabase& database)
{
    return database.name == "postgres" || database.name == "template0" ||
           database.name == "template1";
}

const ManifestDatabase&
find_database(const Manifest& manifest, const std::string& name_or_oid, std::string_view option)
{
    const auto& databases = manifest.databases;
    auto found = std::ranges::find(databases, name_or_oid, &ManifestDatabase::name);
    if (found == databases.end()) {
        found = std::ranges::find(databases, name_or_oid, [](const ManifestDatabase& database) {
            return std::to_string(database.oid);
        });
    }
    if (found != databases.end()) {
        return *found;
    }
    throw Error(
        ErrorCode::db_missing,
        fmt::format(
            "database to {} '{}' is not in backup {}", option, name_or_oid, manifest.header.label),
        "info --set=LABEL lists the databases of a backup");
}

std::unordered_set<std::uint32_t> choose_zeroed(const LayoutOptions& options,
                                                const Manifest& manifest)
{
    std::unordered_set<std::uint32_t> included;
    std::unordered_set<std::uint32_t> zeroed;
    for (const std::string& name : options.db_include) {
        const ManifestDatabase& database = find_database(manifest, name, "include");
        if (is_system_database(database)) {
            raise(ErrorCode::db_invalid, "system databases such as '{}' are always included", name);
        }
        included.insert(database.oid);
    }
    for (const std::string& name : options.db_exclude) {
        const ManifestDatabase& database = find_database(manifest, name, "exclude");
        if (included.contains(database.oid)) {
            raise(ErrorCode::db_invalid, "database '{}' is both included and excluded", name);
        }
        zeroed.insert(database.oid);
    }
    if (!options.db_include.empty()) {
        for (const ManifestDatabase& database : manifest.databases) {
            if (!is_system_database(database) && !included.contains(database.oid)) {
                zeroed.insert(database.oid);
            }
        }
    }
    return zeroed;
}

// `oid` as tablespace_oid() gives it; one that is none names itself.
std::string name_of_tablespace(const Manifest& manifest, const std::string& oid)
{
    std::uint32_t number = 0;
    const char* end = oid.data() + oid.size();
    const auto [stop, failure] = std::from_chars(oid.data(), end, number);
    return failure == std::errc() && stop == end ? repository::tablespace_name(manifest, number)
                                                 : oid;
}

std::string tablespace_destination(const LayoutOptions& options,
                                   const Manifest& manifest,
                                   const ManifestLink& link)
{
    const std::string oid(tablespace_oid(link.path));
    const std::string name = name_of_tablespace(manifest, oid);
    const auto by_name = find_mapped(options.tablespace_map, name);
    const auto by_oid = find_mapped(options.tablespace_map, oid);
    if (by_name && by_oid && *by_name != *by_oid) {
        raise(ErrorCode::tablespace_map,
              "tablespace '{}' is mapped by name and by oid to different paths",
              name);
    }
    if (by_name || by_oid) {
        return by_name ? *by_name : *by_oid;
    }
    if (options.tablespace_map_all.empty()) {
        return link.destination;
    }
    if (!is_safe_relative_path(name) || name.find('/') != std::string::npos) {
        throw Error(ErrorCode::tablespace_map,
                    fmt::format("the name of tablespace '{}' cannot be that of a directory", name),
                    fmt::format("use --tablespace-map={}=PATH", oid));
    }
    return join_path(options.tablespace_map_all, name);
}

// One made with allow_in_place_tablespaces is a directory of the data directory and moves with it.
void refuse_in_place(const Manifest& manifest, const std::string& wanted)
{
    for (const auto& directory : manifest.directories) {
        const std::string oid(tablespace_oid(directory.path));
        const bool is_wanted =
            !oid.empty() && (oid == wanted ||
                             std::ranges::any_of(manifest.tablespaces, [&](const auto& tablespace) {
                                 return tablespace.name == wanted &&
                                        std::to_string(tablespace.oid) == oid;
                             }));
        const bool is_link =
            std::ranges::find(manifest.links, directory.path, &ManifestLink::path) !=
            manifest.links.end();
        if (is_wanted && !is_link) {
            throw Error(ErrorCode::tablespace_map,
                        fmt::format("unable to remap in-place tablespace '{}'", wanted),
                        fmt::format("it is the directory '{}' of the data directory and is "
                                    "restored there: leave it out of --tablespace-map",
                                    directory.path));
        }
    }
}

void check_tablespace_map(const LayoutOptions& options, const Manifest& manifest)
{
    for (const auto& [key, destination] : options.tablespace_map) {
        refuse_in_place(manifest, key);
        const bool is_known =
            std::ranges::any_of(manifest.tablespaces, [&, &wanted = key](const auto& tablespace) {
                return tablespace.name == wanted || std::to_string(tablespace.oid) == wanted;
            });
        // A backup of a stopped server has no names of its own.
        const bool is_link =
            std::ranges::any_of(manifest.links, [&, &wanted = key](const auto& link) {
                const std::string oid(tablespace_oid(link.path));
                return !oid.empty() &&
                       (oid == wanted || name_of_tablespace(manifest, oid) == wanted);
            });
        if (!is_known && !is_link) {
            raise(ErrorCode::tablespace_map, "unable to remap invalid tablespace '{}'", key);
        }
        if (!destination.starts_with('/')) {
            raise(ErrorCode::tablespace_map,
                  "the path '{}' of tablespace '{}' is not absolute",
                  destination,
                  key);
        }
    }
}

// A tablespace's link is made without being asked for, so a backup must not lead to more than the
// server's own directory behind it.
void check_tablespace_contents(const Manifest& manifest, std::string_view version_directory)
{
    for (const ManifestLink& tablespace : manifest.links) {
        if (tablespace_oid(tablespace.path).empty()) {
            continue;
        }
        const std::string ours = join_path(tablespace.path, version_directory);
        const auto check = [&](const std::string& path, bool may_be_ours) {
            const bool is_below =
                path.size() > tablespace.path.size() && is_within(path, tablespace.path);
            if (is_below && (!is_within(path, ours) || (path == ours && !may_be_ours))) {
                raise(ErrorCode::format,
                      "backup {} has '{}' in a tablespace outside of '{}'",
                      manifest.header.label,
                      path,
                      version_directory);
            }
        };
        for (const auto& directory : manifest.directories) {
            check(directory.path, true);
        }
        for (const auto& link : manifest.links) {
            check(link.path, true);
        }
        for (auto file = std::ranges::lower_bound(
                 manifest.files, tablespace.path, {}, &repository::ManifestFile::path);
             file != manifest.files.end() && file->path.starts_with(tablespace.path);
             ++file) {
            check(file->path, false);
        }
    }
}

} // namespace

RestoreLayout::RestoreLayout(const LayoutOptions& options, const Manifest& manifest)
    : data_directory_(normal_path(options.data_directory)),
      tablespace_version_directory_(fmt::format(
          "PG_{}_{}", manifest.header.archive_id.major, manifest.header.catalog_version)),
      zeroed_databases_(choose_zeroed(options, manifest))
{
    check_tablespace_map(options, manifest);
    check_tablespace_contents(manifest, tablespace_version_directory_);
    map_links(options, manifest);
    invent_links(options, manifest);
    find_targets();
    check_overlaps();
}

void RestoreLayout::map_links(const LayoutOptions& options, const Manifest& manifest)
{
    for (const ManifestLink& link : manifest.links) {
        const bool is_tablespace = !tablespace_oid(link.path).empty();
        const auto mapped = find_mapped(options.link_map, link.path);
        if (is_tablespace && mapped) {
            throw Error(ErrorCode::link_map,
                        fmt::format("unable to remap tablespace link '{}'", link.path),
                        "use --tablespace-map");
        }
        if (!is_tablespace && !mapped && !options.link_all) {
            log::warn("link '{}' -> '{}' will be restored as a {} at the same location",
                      link.path,
                      link.destination,
                      link.is_directory ? "directory" : "file");
            plain_.push_back(link);
            continue;
        }
        const std::string destination = is_tablespace
                                            ? tablespace_destination(options, manifest, link)
                                            : mapped.value_or(link.destination);
        RestoredLink restored;
        restored.path = link.path;
        restored.destination = destination;
        restored.is_directory = link.is_directory;
        restored.is_tablespace = is_tablespace;
        restored.mode = link.mode;
        restored.user = link.user;
        restored.group = link.group;
        if (destination != link.destination) {
            log::info("remap {} '{}' to '{}'",
                      is_tablespace ? "tablespace" : "link",
                      link.path,
                      destination);
        }
        links_.push_back(std::move(restored));
    }
}

// --link-map may turn what was a plain directory or file into a link.
void RestoreLayout::invent_links(const LayoutOptions& options, const Manifest& manifest)
{
    for (const auto& [path, destination] : options.link_map) {
        if (std::ranges::any_of(links_, [&, &wanted = path](const RestoredLink& link) {
                return link.path == wanted;
            })) {
            continue;
        }
        const auto directory =
            std::ranges::find(manifest.directories, path, &repository::ManifestDirectory::path);
        const auto file =
            std::ranges::lower_bound(manifest.files, path, {}, &repository::ManifestFile::path);
        const bool is_file = file != manifest.files.end() && file->path == path;
        if (directory == manifest.directories.end() && !is_file) {
            raise(ErrorCode::link_map,
                  "unable to remap invalid link '{}': the backup has nothing there",
                  path);
        }
        if (!destination.starts_with('/')) {
            raise(ErrorCode::link_map,
                  "the destination '{}' of link '{}' is not absolute",
                  destination,
                  path);
        }
        RestoredLink restored;
        restored.path = path;
        restored.destination = destination;
        restored.is_directory = !is_file;
        restored.mode = is_file ? file->mode : directory->mode;
        restored.user = is_file ? file->user : directory->user;
        restored.group = is_file ? file->group : directory->group;
        links_.push_back(std::move(restored));
    }
}

// A relative link counts from where it really is, which links above it decide: those come first.
void RestoreLayout::find_targets()
{
    std::vector<RestoredLink*> upper_first;
    for (RestoredLink& link : links_) {
        upper_first.push_back(&link);
    }
    std::ranges::stable_sort(
        upper_first, {}, [](const RestoredLink* link) { return link->path.size(); });
    for (RestoredLink* link : upper_first) {
        const bool is_absolute = link->destination.starts_with('/');
        const std::string base = is_absolute ? "" : physical_path(parent_path(link->path));
        link->target = normal_path(join_path(base, link->destination));
    }
}

void RestoreLayout::check_overlaps() const
{
    for (const RestoredLink& link : links_) {
        if (is_within(link.target, data_directory_) ||
            (link.is_directory && is_within(data_directory_, link.target))) {
            raise(ErrorCode::link_destination,
                  "link '{}' destination '{}' is in PGDATA or holds it",
                  link.path,
                  link.destination);
        }
        for (const RestoredLink& other : links_) {
            if (&other != &link && is_within(other.target, link.target)) {
                raise(ErrorCode::link_destination,
                      "links '{}' and '{}' lead to places that overlap ('{}' and '{}')",
                      link.path,
                      other.path,
                      link.target,
                      other.target);
            }
        }
    }
}

std::vector<std::string> RestoreLayout::roots() const
{
    std::vector<std::string> roots = {data_directory_};
    for (const RestoredLink& link : links_) {
        if (link.is_tablespace) {
            roots.push_back(join_path(link.target, tablespace_version_directory_));
        } else if (link.is_directory) {
            roots.push_back(link.target);
        }
    }
    return roots;
}

std::string RestoreLayout::physical_path(std::string_view path) const
{
    const RestoredLink* nearest = nullptr;
    for (const RestoredLink& link : links_) {
        if (is_within(path, link.path) &&
            (nearest == nullptr || link.path.size() > nearest->path.size())) {
            nearest = &link;
        }
    }
    if (nearest == nullptr) {
        return join_path(data_directory_, path);
    }
    return path.size() == nearest->path.size()
               ? nearest->target
               : join_path(nearest->target, path.substr(nearest->path.size() + 1));
}

bool RestoreLayout::is_zeroed(std::string_view path) const
{
    if (zeroed_databases_.empty()) {
        return false;
    }
    const auto database = postgres::database_of_path(path);
    return database && zeroed_databases_.contains(*database) &&
           file_name(path) != "pg_filenode.map";
}

bool RestoreLayout::is_left_out(std::string_view path) const
{
    return file_name(path) == "PG_VERSION" && is_zeroed(path);
}

} // namespace pgstrata::engine
