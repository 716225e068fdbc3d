// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/storage/storage.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"

namespace pgstrata::storage {

void Storage::list_some(std::string_view directory,
                        std::string_view beginning,
                        const Visitor& visit) const
{
    list(directory, [&](const EntryInfo& entry) {
        if (entry.name.starts_with(beginning)) {
            visit(entry);
        }
    });
}

void Storage::remove_all(std::span<const std::string> paths)
{
    for (const std::string& path : paths) {
        remove(path);
    }
}

Buffer read_file(const Storage& storage, std::string_view path, std::size_t limit)
{
    const auto source = storage.open(path);
    if (source->size() > limit) {
        raise(ErrorCode::format,
              "'{}' in '{}' has {} bytes where at most {} are expected",
              path,
              storage.location(),
              source->size(),
              limit);
    }
    Buffer result(static_cast<std::size_t>(source->size()));
    if (source->read_at(0, result.span()) != result.size()) {
        raise(ErrorCode::file_read, "'{}' in '{}' ends too early", path, storage.location());
    }
    return result;
}

void write_file(Storage& storage, std::string_view path, ByteView bytes, WriteMode mode)
{
    const auto file = storage.create(path, mode);
    file->write(bytes);
    file->commit();
}

void list_recursively(const Storage& storage,
                      std::string_view directory,
                      const Storage::Visitor& visit)
{
    storage.list(directory, [&](const EntryInfo& entry) {
        const std::string path = join_path(directory, entry.name);
        if (entry.type == EntryType::directory) {
            list_recursively(storage, path, visit);
        } else if (entry.type != EntryType::special) {
            EntryInfo full = entry;
            full.name = path;
            visit(full);
        }
    });
}

} // namespace pgstrata::storage
