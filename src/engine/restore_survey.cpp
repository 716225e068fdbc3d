// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore_survey.hpp"

#include "engine/place_plan.hpp"
#include "engine/root_contents.hpp"
#include "engine/target_space.hpp"

#include "pgstrata/engine/restore_target.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_status.hpp"
#include "pgstrata/util/path.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace pgstrata::engine {

namespace {

namespace fs = std::filesystem;
using repository::ContentKind;
using repository::Manifest;
using repository::ManifestFile;

constexpr std::size_t kShownRemovals = 10;
constexpr std::uint64_t kBlockSize = 512; // of st_blocks, whatever the filesystem's is

// What is ours can be opened where it is not.
bool may_be_changed(const std::string& directory)
{
    struct stat status {};
    return ::stat(directory.c_str(), &status) != 0 || status.st_uid == ::geteuid() ||
           ::access(directory.c_str(), R_OK | W_OK | X_OK) == 0;
}

class Surveyor : NonCopyable {
public:
    Surveyor(const RestoreLayout& layout,
             const Manifest& manifest,
             const std::vector<std::string>& kept,
             Reuse reuse)
        : layout_(layout), manifest_(manifest), kept_(kept), reuse_(reuse),
          contents_(layout, manifest), space_(layout.roots())
    {
    }

    TargetSurvey survey()
    {
        add_up_files();
        walk(layout_.roots().front(), "", reuse_ == Reuse::nothing);
        for (const RestoredLink& link : layout_.links()) {
            if (link.is_directory) {
                const std::string name = name_of_root(layout_, link);
                walk(layout_.physical_path(name), name, reuse_ == Reuse::nothing);
            }
        }
        survey_.filesystems = space_.filesystems();
        return std::move(survey_);
    }

private:
    bool is_kept(const std::string& name) const
    {
        return name == kRestoreMarker || std::ranges::find(kept_, name) != kept_.end();
    }

    void add_up_files()
    {
        for (const ManifestFile& file : manifest_.files) {
            check_cancelled();
            if (layout_.is_zeroed(file.path) || is_kept(file.path)) {
                continue;
            }
            survey_.bytes_needed += file.size;
            space_.need(parent_path(layout_.physical_path(file.path)), file.size);
        }
    }

    void walk(const std::string& path, const std::string& name, bool is_removed)
    {
        std::error_code failure;
        std::vector<fs::directory_entry> entries;
        for (auto entry = fs::directory_iterator(path, failure);
             !failure && entry != fs::directory_iterator();
             entry.increment(failure)) {
            if (!is_lost_and_found(*entry)) {
                entries.push_back(*entry);
            }
        }
        // One that is empty is removed without a right to it.
        const bool is_changed = failure || !is_removed || !entries.empty();
        if (is_changed && !may_be_changed(path)) {
            survey_.closed.push_back(path);
        }
        std::ranges::sort(
            entries, {}, [](const fs::directory_entry& entry) { return entry.path().native(); });
        for (const fs::directory_entry& entry : entries) {
            check_cancelled();
            const std::string child = join_path(name, entry.path().filename().string());
            if (!is_kept(child)) {
                add_entry(entry, child, is_removed || !contents_.belongs(entry, child));
            }
        }
    }

    void add_entry(const fs::directory_entry& entry, const std::string& name, bool is_removed)
    {
        const std::string path = entry.path().string();
        struct stat status {};
        if (::lstat(path.c_str(), &status) != 0) {
            return;
        }
        if (S_ISDIR(status.st_mode)) {
            walk(path, name, is_removed);
            return;
        }
        space_.reuse(parent_path(path), static_cast<std::uint64_t>(status.st_blocks) * kBlockSize);
        if (is_removed) {
            ++survey_.removed;
            if (survey_.first_removed.size() < kShownRemovals) {
                survey_.first_removed.push_back(path);
            }
        } else if (const ManifestFile* file = contents_.find_file(name);
                   file != nullptr && S_ISREG(status.st_mode)) {
            survey_.bytes_compared += bytes_to_compare(*file, status);
        }
    }

    std::uint64_t bytes_to_compare(const ManifestFile& file, const struct stat& status) const
    {
        const auto size = static_cast<std::uint64_t>(status.st_size);
        const bool is_trusted =
            reuse_ == Reuse::times &&
            is_right_by_time(file, size, modified_at(status), manifest_.header.copy_time);
        if (is_trusted || layout_.is_zeroed(file.path)) {
            return 0;
        }
        if (file.content == ContentKind::paged) {
            return std::min(size, file.size);
        }
        return size == file.size ? size : 0;
    }

    const RestoreLayout& layout_;
    const Manifest& manifest_;
    const std::vector<std::string>& kept_;
    Reuse reuse_;
    RootContents contents_;
    TargetSpace space_;
    TargetSurvey survey_;
};

} // namespace

void check_changeable(const TargetSurvey& survey)
{
    if (survey.closed.empty()) {
        return;
    }
    const std::size_t more = survey.closed.size() - 1;
    throw Error(ErrorCode::path_open,
                fmt::format("unable to restore because the current user may not change what is in "
                            "'{}'{}",
                            survey.closed.front(),
                            more == 0 ? "" : fmt::format(" and {} other directories", more)),
                "remove it, or give it to the user that runs the restore");
}

TargetSurvey survey_target(const RestoreLayout& layout,
                           const Manifest& manifest,
                           const std::vector<std::string>& kept,
                           Reuse reuse)
{
    return Surveyor(layout, manifest, kept, reuse).survey();
}

} // namespace pgstrata::engine
