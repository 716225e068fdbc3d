// SPDX-License-Identifier: PostgreSQL
#include "command/object_kind.hpp"
#include "command/output.hpp"
#include "command/repository_path.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/repository/layout.hpp"

#include <algorithm>

namespace pgstrata::command {

namespace {

constexpr int kMissing = 1;
constexpr std::size_t kChunk = std::size_t{1} << 20U;
constexpr int kOutputLevel = 1;

void print_stored(const RandomSource& source)
{
    OutputSink out;
    Buffer chunk(kChunk);
    std::uint64_t offset = 0;
    std::size_t count = 0;
    do {
        count = source.read_at(offset, chunk.span());
        out.write(chunk.view().first(count));
        offset += count;
    } while (count == kChunk && out.has_reader());
}

// What the object would be without a cipher, as far as its name tells: a .zst is a file for zstd,
// all else the bytes themselves.
void print_opened(const RandomSource& source,
                  const codec::ObjectIdentity& identity,
                  const codec::ObjectCipher& cipher)
{
    OutputSink out;
    codec::ObjectReader reader(source, identity, cipher);
    codec::ZstdCompressor compressor(kOutputLevel);
    const bool is_compressed = identity.path.ends_with(".zst");
    Buffer raw;
    Buffer compressed;
    while (out.has_reader() && reader.next(raw)) {
        if (is_compressed) {
            compressor.compress(raw, compressed);
        }
        out.write(is_compressed ? compressed : raw);
    }
}

} // namespace

int run_repo_get(const config::Config& config)
{
    const unsigned index = single_repository(config);
    const auto storage = open_storage(config, index);
    const std::string path =
        repository_path(config.parameters().front(), config.text("repo-path", index));
    const auto info = storage->info(path);
    if (!info || info->type == storage::EntryType::directory) {
        if (config.flag("ignore-missing")) {
            return kMissing;
        }
        raise(ErrorCode::file_missing, "there is no file '{}' in '{}'", path, storage->location());
    }
    const auto source = storage->open(path);
    // A copy is sealed as what it is of.
    const std::string origin(repository::origin_path(path));
    const auto kind = object_kind(origin);
    const bool is_sealed = kind && config.text("repo-cipher-type", index) != "none";
    if (!is_sealed || config.flag("raw")) {
        print_stored(*source);
        return 0;
    }
    const OpenedRepository opened = open_repository(config, index);
    print_opened(*source, {*kind, origin}, opened.repository->cipher());
    return 0;
}

} // namespace pgstrata::command
