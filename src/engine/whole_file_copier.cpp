// SPDX-License-Identifier: PostgreSQL
#include "engine/whole_file_copier.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/data_directory.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_status.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>

namespace pgstrata::engine {

using repository::ManifestFile;

namespace {

constexpr int kLooks = 3;
constexpr unsigned kLookPause = 5; // milliseconds

// A server that extends the file may be caught before the page is whole; a tail that was there
// before gets overwritten then.
bool keeps_size(const FileDescriptor& descriptor, const std::string& path, std::uint64_t size)
{
    for (int look = 0; look < kLooks; ++look) {
        if (look != 0) {
            sleep_milliseconds(kLookPause);
        }
        if (file_status(descriptor.get(), path).size != size) {
            return false;
        }
    }
    return true;
}

} // namespace

void WholeFileCopier::copy(std::uint32_t index)
{
    ManifestFile& file = state_.manifest.files[index];
    const auto descriptor = open_if_there(join_path(state_.options.data_directory, file.path));
    if (!descriptor) {
        set_vanished(state_, index);
        return;
    }
    if (!postgres::parse_relation_path(file.path)) {
        // Not the size of its listing: a file that the server replaces must not lose its end.
        file.size = file_status(descriptor->get(), file.path).size;
    }
    if (file.size < kSmallFileSize) {
        copy_small(index, file, *descriptor);
    } else if (!may_be_as_before(index) || !is_stored(index, file, *descriptor)) {
        copy_stream(index, file, *descriptor);
    }
    check_tail(file, *descriptor);
    set_time(file, *descriptor);
}

// A relation file is stored whole because its size is that of no number of pages.
void WholeFileCopier::check_tail(ManifestFile& file, const FileDescriptor& descriptor) const
{
    const CopyOptions& options = state_.options;
    file.is_damaged = options.check_pages && file.size % options.page_size != 0 &&
                      postgres::parse_relation_path(file.path).has_value() &&
                      keeps_size(descriptor, file.path, file.size);
    if (file.is_damaged) {
        log::warn("page misalignment in file {}: file size {} is not divisible by page size {}",
                  join_path(options.data_directory, file.path),
                  file.size,
                  options.page_size);
    }
}

// What differs in size was found out when the work was planned.
bool WholeFileCopier::may_be_as_before(std::uint32_t index) const
{
    return state_.plan.work[index] == FileWork::compare || state_.options.durable != nullptr;
}

// Whether bytes with this digest are there already, so that the file need not be stored.
bool WholeFileCopier::take_known(std::uint32_t index,
                                 ManifestFile& file,
                                 const codec::Digest128& digest)
{
    if (state_.plan.work[index] == FileWork::compare && file.digest == digest) {
        return true;
    }
    file.digest = digest;
    if (state_.options.durable == nullptr) {
        return false;
    }
    auto stored = state_.options.durable->find_file(file.path, file.size, digest);
    if (!stored) {
        return false;
    }
    file.extents.clear();
    for (const repository::Extent& extent : stored->extents) {
        file.extents.push_back(packer_.in_manifest(extent));
    }
    state_.stored += file.size;
    return true;
}

void WholeFileCopier::copy_small(std::uint32_t index,
                                 ManifestFile& file,
                                 const FileDescriptor& descriptor)
{
    const MutableBytes room = packer_.reserve_small(file.size);
    const std::size_t size = read_fully(descriptor.get(), room, file.path);
    state_.read += size;
    const bool has_shrunk = size != file.size;
    file.size = size;
    if (size == 0) {
        set_empty(file);
        return;
    }
    const codec::Digest128 digest = codec::xxh3_128(room.first(size));
    if (has_shrunk) {
        file.digest = digest;
    } else if (take_known(index, file, digest)) {
        return;
    }
    packer_.add_small_file(index, size);
    state_.stored += size;
}

// A large file is read once for its digest, since a frame that was written cannot be taken back.
bool WholeFileCopier::is_stored(std::uint32_t index,
                                ManifestFile& file,
                                const FileDescriptor& descriptor)
{
    codec::Xxh3Stream digest;
    std::uint64_t done = 0;
    while (done < file.size) {
        check_cancelled();
        buffer_.resize(std::min<std::uint64_t>(codec::kFrameRawLimit, file.size - done));
        const std::size_t count = pread_fully(descriptor.get(), buffer_.span(), done, file.path);
        digest.update(buffer_.view().first(count));
        done += count;
        if (count != buffer_.size()) {
            break;
        }
    }
    state_.read += done;
    return done == file.size && take_known(index, file, digest.finish());
}

void WholeFileCopier::copy_stream(std::uint32_t index,
                                  ManifestFile& file,
                                  const FileDescriptor& descriptor)
{
    codec::Xxh3Stream digest;
    std::uint64_t done = 0;
    file.extents.clear();
    while (done < file.size) {
        check_cancelled();
        buffer_.resize(std::min<std::uint64_t>(codec::kFrameRawLimit, file.size - done));
        const std::size_t count = pread_fully(descriptor.get(), buffer_.span(), done, file.path);
        if (count == 0) {
            break;
        }
        const ByteView bytes = buffer_.view().first(count);
        digest.update(bytes);
        file.extents.push_back(packer_.in_manifest(packer_.add_frame(bytes)));
        packer_.end_unit();
        done += count;
    }
    state_.read += done;
    state_.stored += done;
    file.size = done;
    file.digest = digest.finish();
    if (done == 0) {
        set_empty(file);
        return;
    }
    packer_.remember_file(index);
}

} // namespace pgstrata::engine
