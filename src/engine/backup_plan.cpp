// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/backup_plan.hpp"

#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/util/process.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <unordered_map>

namespace pgstrata::engine {

namespace {

using repository::ContentKind;

constexpr std::uint32_t kPermissionBits = 07777;

// Gives users and groups their place in the manifest's table of names.
class NameTable {
public:
    explicit NameTable(std::vector<std::string>& names) : names_(names) {}
    std::uint16_t user(std::uint32_t uid) { return place(users_, uid, &user_name); }
    std::uint16_t group(std::uint32_t gid) { return place(groups_, gid, &group_name); }

private:
    using Places = std::unordered_map<std::uint32_t, std::uint16_t>;

    std::uint16_t place(Places& places, std::uint32_t id, std::string (*find_name)(std::uint32_t))
    {
        const auto known = places.find(id);
        if (known != places.end()) {
            return known->second;
        }
        const std::string name = find_name(id);
        const auto same = std::ranges::find(names_, name);
        if (same == names_.end() && names_.size() == std::numeric_limits<std::uint16_t>::max()) {
            raise(ErrorCode::assertion, "the data directory has too many different owners");
        }
        const auto at = static_cast<std::uint16_t>(same - names_.begin());
        if (same == names_.end()) {
            names_.push_back(name);
        }
        places.emplace(id, at);
        return at;
    }

    std::vector<std::string>& names_;
    Places users_;
    Places groups_;
};

void add_root(const std::string& data_directory, NameTable& names, repository::Manifest& manifest)
{
    struct stat status {};
    if (::stat(data_directory.c_str(), &status) != 0) {
        raise_errno(ErrorCode::path_missing,
                    errno,
                    fmt::format("look at data directory '{}'", data_directory));
    }
    manifest.directories.push_back({"",
                                    status.st_mode & kPermissionBits,
                                    names.user(status.st_uid),
                                    names.group(status.st_gid)});
}

void classify_contents(repository::Manifest& manifest, std::uint32_t page_size)
{
    for (repository::ManifestFile& file : manifest.files) {
        const bool is_paged = file.size != 0 && file.size % page_size == 0 &&
                              postgres::parse_relation_path(file.path).has_value();
        file.content = file.size == 0 ? ContentKind::empty
                       : is_paged     ? ContentKind::paged
                                      : ContentKind::whole;
    }
}

BackupPlan make_plan(const repository::Manifest& manifest, std::vector<FileWork> work)
{
    BackupPlan plan;
    std::vector<std::uint32_t> large;
    std::vector<std::uint32_t> small;
    for (std::uint32_t i = 0; i < manifest.files.size(); ++i) {
        const std::uint64_t size = manifest.files[i].size;
        if (work[i] == FileWork::refer) {
            plan.referred += size;
            continue;
        }
        plan.bytes += size;
        (size < kSmallFileSize ? small : large).push_back(i);
    }
    std::ranges::stable_sort(
        large, std::greater(), [&](std::uint32_t i) { return manifest.files[i].size; });
    for (const std::uint32_t i : large) {
        const bool is_shared = manifest.files[i].content == ContentKind::paged;
        const std::uint64_t parts =
            is_shared ? (manifest.files[i].size + kCopyPartSize - 1) / kCopyPartSize : 1;
        for (std::uint32_t part = 0; part < parts; ++part) {
            plan.units.push_back({i, part});
        }
    }
    for (const std::uint32_t i : small) {
        plan.units.push_back({i, 0});
    }
    plan.work = std::move(work);
    return plan;
}

} // namespace

void scan_into_manifest(const std::string& data_directory,
                        const postgres::ScanRules& rules,
                        repository::Manifest& manifest)
{
    NameTable names(manifest.names);
    add_root(data_directory, names, manifest);
    postgres::scan_data_directory(data_directory, rules, [&](postgres::DataEntry&& entry) {
        const std::uint16_t user = names.user(entry.uid);
        const std::uint16_t group = names.group(entry.gid);
        if (entry.type == postgres::FileType::directory) {
            manifest.directories.push_back({std::move(entry.path), entry.mode, user, group});
        } else if (entry.type == postgres::FileType::link) {
            manifest.links.push_back({std::move(entry.path),
                                      std::move(entry.destination),
                                      true,
                                      entry.mode,
                                      user,
                                      group});
        } else if (entry.path != postgres::kControlFilePath) {
            // A file with the path of the link before it is what that link leads to.
            if (!manifest.links.empty() && manifest.links.back().path == entry.path) {
                manifest.links.back().is_directory = false;
            }
            repository::ManifestFile file;
            file.path = std::move(entry.path);
            file.size = entry.size;
            file.mtime = entry.mtime;
            file.mode = entry.mode;
            file.user = user;
            file.group = group;
            manifest.files.push_back(std::move(file));
        }
    });
    std::ranges::sort(manifest.files, {}, &repository::ManifestFile::path);
}

BackupPlan plan_backup(repository::Manifest& manifest,
                       const ChangeRules& rules,
                       repository::ManifestReader& prior,
                       const std::function<bool(const repository::ManifestFile&)>& is_lost)
{
    classify_contents(manifest, rules.page_size);
    std::vector<FileWork> work(manifest.files.size(), FileWork::copy);
    repository::ManifestFile known;
    bool has_known = prior.next(known);
    for (std::size_t i = 0; i < manifest.files.size(); ++i) {
        repository::ManifestFile& file = manifest.files[i];
        while (has_known && known.path < file.path) {
            has_known = prior.next(known);
        }
        const bool is_there = has_known && known.path == file.path && !(is_lost && is_lost(known));
        work[i] = decide_work(file, is_there ? &known : nullptr, rules);
        // Nothing of what was in a file that is empty now.
        if (is_there && work[i] != FileWork::copy && file.content != ContentKind::empty) {
            file.extents = std::move(known.extents);
            file.digest = known.digest;
            file.is_damaged = known.is_damaged;
            file.bad_pages = std::move(known.bad_pages);
        }
    }
    // To the end, since only there its completeness is proved.
    while (has_known) {
        has_known = prior.next(known);
    }
    return make_plan(manifest, std::move(work));
}

BackupPlan plan_full_backup(repository::Manifest& manifest, std::uint32_t page_size)
{
    classify_contents(manifest, page_size);
    std::vector<FileWork> work;
    for (const repository::ManifestFile& file : manifest.files) {
        work.push_back(decide_work(file, nullptr, {}));
    }
    return make_plan(manifest, std::move(work));
}

} // namespace pgstrata::engine
