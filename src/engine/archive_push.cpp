// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_push.hpp"

#include "pgstrata/engine/spool.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/path.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

namespace pgstrata::engine {

namespace {

using repository::Repository;

constexpr std::uint64_t kFileLimit = std::uint64_t{1} << 30U;

// One stretch of the file as it goes into every repository.
struct PreparedFrame {
    Buffer body;
    std::uint32_t raw_size = 0;
    codec::FrameCodec codec = codec::FrameCodec::none;
};

// The file as it goes into every repository.
struct PreparedFile {
    postgres::WalFileName name;
    std::uint64_t size = 0;
    Buffer head; // enough for the header of a segment
    std::string digest;
    bool is_compressed = false;
    std::optional<postgres::WalTimes> times; // of a segment
    std::vector<PreparedFrame> frames;
};

// A segment must be of this stanza's cluster and be what its name says: the last chance to refuse
// another cluster's WAL.
void check_header(const PreparedFile& file, const repository::Cluster& cluster)
{
    const std::string& name = file.name.name;
    if (file.size != cluster.wal_segment_size) {
        raise(ErrorCode::format,
              "WAL file '{}' has {} bytes instead of {}",
              name,
              file.size,
              cluster.wal_segment_size);
    }
    const postgres::WalHeader header = postgres::parse_wal_header(file.head);
    if (header.system_identifier != cluster.system_identifier || header.major != cluster.id.major ||
        header.segment_size != cluster.wal_segment_size) {
        throw Error(ErrorCode::archive_mismatch,
                    fmt::format("WAL file '{}' version {}, system-id {} do not match stanza "
                                "version {}, system-id {}",
                                name,
                                header.major,
                                header.system_identifier,
                                cluster.id.major,
                                cluster.system_identifier),
                    "are you archiving to the correct stanza?");
    }
    const auto segment = postgres::parse_wal_segment(file.name.segment, cluster.wal_segment_size);
    if (!segment || header.page_address != postgres::start_of(*segment, cluster.wal_segment_size) ||
        header.timeline > segment->timeline) {
        throw Error(ErrorCode::archive_mismatch,
                    fmt::format("WAL file '{}' holds WAL of timeline {} from {} on",
                                name,
                                header.timeline,
                                postgres::to_string(header.page_address)),
                    "the file was renamed, or is a recycled segment that was never written");
    }
}

// Reads a file once and makes its frames, with several workers: reading and the digest go in order
// under a lock, which takes a fraction of the time that compressing takes outside it.
class FilePreparer : NonCopyable {
public:
    FilePreparer(const PushOptions& options, PreparedFile& file)
        : path_(options.path), file_(file), descriptor_(open_file(path_, O_RDONLY))
    {
        struct stat status {};
        if (::fstat(descriptor_.get(), &status) != 0) {
            raise_errno(ErrorCode::file_info, errno, fmt::format("look at '{}'", path_));
        }
        file_.size = static_cast<std::uint64_t>(status.st_size);
        if (!S_ISREG(status.st_mode) || file_.size > kFileLimit) {
            raise(ErrorCode::format, "'{}' is no file of at most {} bytes", path_, kFileLimit);
        }
        if (options.compress_level && postgres::holds_wal(file_.name.kind)) {
            level_ = options.compress_level;
            file_.is_compressed = true;
        }
        file_.frames.resize((file_.size + codec::kFrameRawLimit - 1) / codec::kFrameRawLimit);
    }

    void run(std::size_t workers)
    {
        run_workers(
            std::clamp<std::size_t>(workers, 1, std::max<std::size_t>(file_.frames.size(), 1)),
            [this](std::size_t, const std::stop_token& token) { prepare_frames(token); });
        file_.digest = digest_.finish();
        file_.times = times_.times();
    }

private:
    // The number of the frame that was read into `raw`; nullopt after the last.
    std::optional<std::size_t> read_next(Buffer& raw)
    {
        const std::lock_guard lock(read_mutex_);
        if (next_ == file_.frames.size()) {
            return std::nullopt;
        }
        const std::uint64_t offset = next_ * codec::kFrameRawLimit;
        raw.resize(std::min<std::uint64_t>(codec::kFrameRawLimit, file_.size - offset));
        if (pread_fully(descriptor_.get(), raw.span(), offset, path_) != raw.size()) {
            raise(ErrorCode::file_read, "'{}' became shorter while it was read", path_);
        }
        digest_.update(raw);
        if (postgres::holds_wal(file_.name.kind)) {
            times_.feed(raw);
        }
        if (next_ == 0) {
            file_.head.append(raw.view().first(std::min(raw.size(), postgres::kWalHeaderSize)));
        }
        return next_++;
    }

    void prepare_frames(const std::stop_token& token)
    {
        std::optional<codec::ZstdCompressor> compressor;
        codec::ZstdDecompressor decompressor;
        Buffer raw;
        Buffer back;
        if (level_) {
            compressor.emplace(codec::ZstdCompressor::for_wal(*level_));
        }
        for (auto number = read_next(raw); number && !token.stop_requested();
             number = read_next(raw)) {
            PreparedFrame& frame = file_.frames[*number];
            const codec::FrameBody body =
                codec::make_frame_body(raw, compressor ? &*compressor : nullptr, frame.body);
            check_comes_back(body, raw, decompressor, back);
            frame.raw_size = body.raw_size;
            frame.codec = body.codec;
            if (body.codec == codec::FrameCodec::none) {
                std::swap(frame.body, raw);
            }
        }
    }

    // What will be acknowledged is proved to come back before anything is: a compressor that errs
    // at one level must not cost a segment.
    static void check_comes_back(const codec::FrameBody& body,
                                 ByteView raw,
                                 codec::ZstdDecompressor& decompressor,
                                 Buffer& back)
    {
        if (body.codec == codec::FrameCodec::none) {
            return;
        }
        back.resize(raw.size());
        decompressor.decompress(body.body, back.span());
        if (std::memcmp(back.data(), raw.data(), raw.size()) != 0) {
            raise(ErrorCode::assertion, "compressed data does not give back what was compressed");
        }
    }

    const std::string& path_;
    PreparedFile& file_;
    FileDescriptor descriptor_;
    std::optional<int> level_;
    std::mutex read_mutex_;
    std::size_t next_ = 0;
    repository::WalDigest digest_;
    postgres::WalTimeScan times_;
};

// What is written into, or replaced, while it is read would be stored as a mixture.
void refuse_changed(const std::string& path, const std::optional<WalOnDisk>& before)
{
    const auto after = look_at_wal(path);
    if (!before || !after || before->identity != after->identity) {
        raise(ErrorCode::file_read, "'{}' changed while it was read", path);
    }
}

// Whether what was archived under `digest` is this file. The digest of another kind needs reading
// the file once more.
bool is_same_file(const PreparedFile& file, const std::string& path, const std::string& digest)
{
    if (digest == file.digest) {
        return true;
    }
    const FileDescriptor descriptor = open_file(path, O_RDONLY);
    return repository::wal_digest(descriptor.get(), file.size, path, digest) == digest;
}

std::string object_path(const std::string& stanza,
                        const PushTarget& target,
                        const repository::WalObjectName& object)
{
    return fmt::format("{}/{}",
                       repository::wal_directory(stanza, target.cluster.id, object.wal_name),
                       repository::to_string(object));
}

// Where the target has the file already.
std::vector<std::string>
stored_paths(const PreparedFile& file, const PushOptions& options, const PushTarget& target)
{
    std::vector<std::string> paths;
    const auto found =
        repository::find_wal(*target.repository, options.stanza, target.cluster.id, file.name.name);
    for (const repository::WalObjectName& object : found) {
        if (!is_same_file(file, options.path, object.digest)) {
            throw Error(
                ErrorCode::archive_duplicate,
                fmt::format(
                    "WAL file '{}' already exists in the repo{} archive with a different checksum",
                    file.name.name,
                    target.index),
                "are two clusters archiving to the same stanza?");
        }
        paths.push_back(object_path(options.stanza, target, object));
    }
    return paths;
}

// True when the target has the file already, durably: whoever stored it may have died, or be, where
// its name was to be seen and not yet safe.
bool is_stored(const PreparedFile& file, const PushOptions& options, const PushTarget& target)
{
    const std::vector<std::string> paths = stored_paths(file, options, target);
    for (const std::string& path : paths) {
        target.repository->storage().make_durable(path);
    }
    return !paths.empty();
}

void store(const PreparedFile& file, const std::string& stanza, const PushTarget& target)
{
    const Repository& repository = *target.repository;
    const std::string path =
        object_path(stanza, target, {file.name.name, file.digest, file.is_compressed});
    // The digest is in the name.
    const auto pending =
        repository.storage().create(path, storage::WriteMode::once_named_by_contents);
    if (!file.is_compressed && repository.cipher().type == codec::CipherType::none) {
        for (const PreparedFrame& frame : file.frames) {
            pending->write(frame.body);
        }
    } else {
        const auto kind = postgres::holds_wal(file.name.kind) ? codec::ObjectKind::wal
                                                              : codec::ObjectKind::archive_file;
        codec::ObjectWriter writer(*pending, {kind, path}, repository.cipher());
        Buffer note;
        if (file.times) {
            writer.append(repository::note_wal_times(*file.times, note));
        }
        for (const PreparedFrame& frame : file.frames) {
            writer.append({frame.body, frame.raw_size, frame.codec});
        }
        writer.finish();
    }
    try {
        pending->commit();
    } catch (const Error& error) {
        // Somebody stored the same contents at this moment: the name holds the digest.
        if (error.code() != ErrorCode::file_exists) {
            throw;
        }
        repository.storage().make_durable(path);
    }
}

void warn(const PushOptions& options, const std::string& text)
{
    if (options.on_warning) {
        options.on_warning(text);
    } else {
        log::warn("{}", text);
    }
}

// One target's part of a push.
struct Delivery {
    const PushTarget* target = nullptr;
    bool was_there = false;
    std::optional<Error> error = {};
};

// Lets `work` go on with each that has yet to get the file: at the same time, since they wait
// for their stores, but without any thread when there is one.
template <typename Work>
void deliver(std::vector<Delivery>& deliveries, const Work& work)
{
    parallel_for_each(deliveries.size(), deliveries.size(), [&](std::size_t i) {
        Delivery& delivery = deliveries[i];
        if (delivery.was_there || delivery.error) {
            return;
        }
        try {
            work(delivery);
        } catch (const Error& error) {
            delivery.error = error;
        }
    });
}

void refuse_duplicate(const std::vector<Delivery>& deliveries)
{
    for (const Delivery& delivery : deliveries) {
        if (delivery.error && delivery.error->code() == ErrorCode::archive_duplicate) {
            throw Error(*delivery.error);
        }
    }
}

// Throws when one of them has other contents. What keeps a target from telling is its own failure:
// the others get the file all the same.
void look_for_file(const PreparedFile& file,
                   const PushOptions& options,
                   std::vector<Delivery>& deliveries)
{
    deliver(deliveries, [&](Delivery& delivery) {
        delivery.was_there = is_stored(file, options, *delivery.target);
    });
    refuse_duplicate(deliveries);
    for (const Delivery& delivery : deliveries) {
        if (delivery.was_there && options.warn_duplicates) {
            warn(options,
                 fmt::format("WAL file '{}' already exists in the repo{} archive with the same "
                             "checksum\nHINT: this is valid in some recovery scenarios but may "
                             "also indicate a problem.",
                             file.name.name,
                             delivery.target->index));
        }
    }
}

} // namespace

std::vector<PushFailure> push_wal(const PushOptions& options,
                                  const std::vector<PushTarget>& targets)
{
    const std::string name(file_name(options.path));
    const auto wal_name = postgres::parse_wal_file_name(name);
    if (!wal_name) {
        raise(ErrorCode::parameter_invalid, "'{}' is not the name of a WAL file", name);
    }
    PreparedFile file;
    file.name = *wal_name;
    const auto before = look_at_wal(options.path);
    FilePreparer(options, file).run(options.workers);
    refuse_changed(options.path, before);
    if (options.check_header && postgres::holds_wal(file.name.kind)) {
        for (const PushTarget& target : targets) {
            check_header(file, target.cluster);
        }
    }
    std::vector<Delivery> deliveries;
    deliveries.reserve(targets.size());
    for (const PushTarget& target : targets) {
        deliveries.push_back({.target = &target});
    }
    look_for_file(file, options, deliveries);
    deliver(deliveries, [&](Delivery& delivery) {
        store(file, options.stanza, *delivery.target);
        // Of two who store at the same time at least the later one sees the other. What he has
        // stored stays: somebody with the same contents may have been told that it is there.
        if (delivery.target->repository->storage().is_listing_cheap()) {
            stored_paths(file, options, *delivery.target);
        }
    });
    refuse_duplicate(deliveries);
    std::vector<PushFailure> failures;
    for (const Delivery& delivery : deliveries) {
        if (delivery.error) {
            failures.push_back({delivery.target->index, *delivery.error});
        }
    }
    return failures;
}

} // namespace pgstrata::engine
