// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_push.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/path.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace pgstrata::engine {

namespace {

using postgres::WalFileKind;
using repository::Repository;

constexpr std::uint64_t kFileLimit = std::uint64_t{1} << 30U;

Buffer read_whole_file(const std::string& path)
{
    const FileDescriptor file = open_file(path, O_RDONLY);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) {
        raise_errno(ErrorCode::file_info, errno, fmt::format("look at '{}'", path));
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (!S_ISREG(status.st_mode) || size > kFileLimit) {
        raise(ErrorCode::format, "'{}' is no file of at most {} bytes", path, kFileLimit);
    }
    Buffer bytes(size);
    if (read_fully(file.get(), bytes.span(), path) != size) {
        raise(ErrorCode::file_read, "'{}' became shorter while it was read", path);
    }
    return bytes;
}

bool is_segment_shaped(WalFileKind kind)
{
    return kind == WalFileKind::segment || kind == WalFileKind::partial;
}

// A segment must be of this stanza's cluster and be what its name says: the last chance to refuse
// another cluster's WAL.
void check_header(const postgres::WalFileName& name,
                  ByteView bytes,
                  const repository::Cluster& cluster)
{
    if (bytes.size() != cluster.wal_segment_size) {
        raise(ErrorCode::format,
              "WAL file '{}' has {} bytes instead of {}",
              name.name,
              bytes.size(),
              cluster.wal_segment_size);
    }
    const postgres::WalHeader header = postgres::parse_wal_header(bytes);
    if (header.system_identifier != cluster.system_identifier || header.major != cluster.id.major ||
        header.segment_size != cluster.wal_segment_size) {
        throw Error(ErrorCode::archive_mismatch,
                    fmt::format("WAL file '{}' version {}, system-id {} do not match stanza "
                                "version {}, system-id {}",
                                name.name,
                                header.major,
                                header.system_identifier,
                                cluster.id.major,
                                cluster.system_identifier),
                    "are you archiving to the correct stanza?");
    }
    const auto segment = postgres::parse_wal_segment(name.segment, cluster.wal_segment_size);
    if (!segment || header.page_address != postgres::start_of(*segment, cluster.wal_segment_size) ||
        header.timeline > segment->timeline) {
        throw Error(ErrorCode::archive_mismatch,
                    fmt::format("WAL file '{}' holds WAL of timeline {} from {} on",
                                name.name,
                                header.timeline,
                                postgres::to_string(header.page_address)),
                    "the file was renamed, or is a recycled segment that was never written");
    }
}

// The file as it goes into every repository.
struct PreparedFile {
    postgres::WalFileName name;
    Buffer raw;
    std::string digest;
    bool is_compressed = false;
    std::vector<Buffer> frames; // compressed, one a kFrameRawLimit of raw bytes
};

// What will be acknowledged is proved to come back before anything is: a compressor that errs at
// one level must not cost a segment.
void compress_frame(ByteView raw, int level, Buffer& out)
{
    codec::ZstdCompressor(level).compress(raw, out);
    Buffer back(raw.size());
    codec::ZstdDecompressor().decompress(out, back.span());
    if (std::memcmp(back.data(), raw.data(), raw.size()) != 0) {
        raise(ErrorCode::assertion, "compressed data does not give back what was compressed");
    }
}

void digest_and_compress(PreparedFile& file, std::optional<int> level, std::size_t workers)
{
    const ByteView raw = file.raw;
    file.is_compressed = level && is_segment_shaped(file.name.kind);
    if (file.is_compressed) {
        file.frames.resize((raw.size() + codec::kFrameRawLimit - 1) / codec::kFrameRawLimit);
    }
    // The digest is one long step and comes first, the frames share the other threads.
    parallel_for_each(workers, file.frames.size() + 1, [&](std::size_t step) {
        if (step == 0) {
            file.digest = repository::wal_digest(codec::sha256(raw));
            return;
        }
        const std::size_t begin = (step - 1) * codec::kFrameRawLimit;
        const ByteView piece =
            raw.subspan(begin, std::min(codec::kFrameRawLimit, raw.size() - begin));
        compress_frame(piece, *level, file.frames[step - 1]);
    });
}

// True when the target has the file already.
bool is_stored(const PreparedFile& file, const std::string& stanza, const PushTarget& target)
{
    const auto found =
        repository::find_wal(*target.repository, stanza, target.cluster.id, file.name.name);
    for (const repository::WalObjectName& object : found) {
        if (object.digest != file.digest) {
            throw Error(
                ErrorCode::archive_duplicate,
                fmt::format(
                    "WAL file '{}' already exists in the repo{} archive with a different checksum",
                    file.name.name,
                    target.index),
                "are two clusters archiving to the same stanza?");
        }
    }
    return !found.empty();
}

void write_frames(codec::ObjectWriter& writer, const PreparedFile& file)
{
    const ByteView raw = file.raw;
    Buffer scratch;
    for (std::size_t begin = 0; begin < raw.size(); begin += codec::kFrameRawLimit) {
        const ByteView piece =
            raw.subspan(begin, std::min(codec::kFrameRawLimit, raw.size() - begin));
        if (file.is_compressed &&
            file.frames[begin / codec::kFrameRawLimit].size() < piece.size()) {
            const Buffer& compressed = file.frames[begin / codec::kFrameRawLimit];
            writer.append(
                {compressed, static_cast<std::uint32_t>(piece.size()), codec::FrameCodec::zstd});
        } else {
            writer.append(codec::make_frame_body(piece, nullptr, scratch));
        }
    }
    writer.finish();
}

void store(const PreparedFile& file, const std::string& stanza, const PushTarget& target)
{
    const Repository& repository = *target.repository;
    const std::string path =
        fmt::format("{}/{}",
                    repository::wal_directory(stanza, target.cluster.id, file.name.name),
                    repository::to_string({file.name.name, file.digest, file.is_compressed}));
    const auto pending = repository.storage().create(path);
    if (!file.is_compressed && repository.cipher().type == codec::CipherType::none) {
        pending->write(file.raw);
    } else {
        const auto kind = is_segment_shaped(file.name.kind) ? codec::ObjectKind::wal
                                                            : codec::ObjectKind::archive_file;
        codec::ObjectWriter writer(*pending, {kind, path}, repository.cipher());
        write_frames(writer, file);
    }
    try {
        pending->commit();
    } catch (const Error& error) {
        // Somebody stored the same contents at this moment: the name holds the digest.
        if (error.code() != ErrorCode::file_exists) {
            throw;
        }
    }
}

std::string describe_failure(const PushTarget& target, const Error& error)
{
    return fmt::format("\nrepo{}: [{:03}] {}", target.index, error.exit_status(), error.what());
}

// The targets that have yet to get the file. What keeps one from telling is added to `failures`:
// the others get it all the same.
std::vector<const PushTarget*> find_missing(const PreparedFile& file,
                                            const PushOptions& options,
                                            const std::vector<PushTarget>& targets,
                                            std::string& failures)
{
    std::vector<const PushTarget*> missing;
    for (const PushTarget& target : targets) {
        try {
            if (!is_stored(file, options.stanza, target)) {
                missing.push_back(&target);
            } else if (options.warn_duplicates) {
                log::warn("WAL file '{}' already exists in the repo{} archive with the same "
                          "checksum\nHINT: this is valid "
                          "in some recovery scenarios but may also indicate a problem.",
                          file.name.name,
                          target.index);
            }
        } catch (const Error& error) {
            if (error.code() == ErrorCode::archive_duplicate) {
                throw;
            }
            failures += describe_failure(target, error);
        }
    }
    return missing;
}

} // namespace

void push_wal(const PushOptions& options, const std::vector<PushTarget>& targets)
{
    const std::string name(file_name(options.path));
    const auto wal_name = postgres::parse_wal_file_name(name);
    if (!wal_name) {
        raise(ErrorCode::parameter_invalid, "'{}' is not the name of a WAL file", name);
    }
    PreparedFile file;
    file.name = *wal_name;
    file.raw = read_whole_file(options.path);
    if (options.check_header && is_segment_shaped(file.name.kind)) {
        for (const PushTarget& target : targets) {
            check_header(file.name, file.raw, target.cluster);
        }
    }
    digest_and_compress(file, options.compress_level, options.workers);
    std::string failures;
    for (const PushTarget* target : find_missing(file, options, targets, failures)) {
        try {
            store(file, options.stanza, *target);
        } catch (const Error& error) {
            failures += describe_failure(*target, error);
        }
    }
    if (!failures.empty()) {
        throw Error(ErrorCode::command,
                    fmt::format("archive-push command encountered error(s):{}", failures),
                    "PostgreSQL keeps the file and tries again");
    }
}

} // namespace pgstrata::engine
