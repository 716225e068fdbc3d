// SPDX-License-Identifier: PostgreSQL
#include "engine/copy_state.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/file_status.hpp"
#include "pgstrata/util/size.hpp"

namespace pgstrata::engine {

SharedFile& SharedFiles::get(std::uint32_t index, std::uint32_t parts)
{
    const std::lock_guard lock(files_mutex_);
    const auto [file, is_new] = files_.try_emplace(index);
    if (is_new) {
        file->second.parts_left = parts;
    }
    return file->second;
}

void SharedFiles::forget(std::uint32_t index)
{
    const std::lock_guard lock(files_mutex_);
    files_.erase(index);
}

void set_empty(repository::ManifestFile& file)
{
    file.content = repository::ContentKind::empty;
    file.size = 0;
    file.extents.clear();
}

void set_vanished(CopyState& state, std::uint32_t index)
{
    state.is_vanished[index] = 1;
    set_empty(state.manifest.files[index]);
}

void set_time(repository::ManifestFile& file, const FileDescriptor& descriptor)
{
    file.mtime = file_status(descriptor.get(), file.path).mtime;
}

void report_copied(const CopyState& state, const repository::ManifestFile& file)
{
    log::detail("backup file {}/{} ({}, {:.2f}%)",
                state.options.data_directory,
                file.path,
                format_size(file.size),
                state.progress.percent());
}

} // namespace pgstrata::engine
