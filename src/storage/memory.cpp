// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/storage/memory.hpp"

#include "storage/checked_path.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

namespace pgstrata::storage {

namespace {

struct File {
    std::shared_ptr<const Buffer> contents;
    UnixSeconds mtime = 0;
};

struct Files {
    std::mutex mutex;
    std::map<std::string, File, std::less<>> by_path;
};

class MemoryFileSource final : public RandomSource {
public:
    explicit MemoryFileSource(std::shared_ptr<const Buffer> contents)
        : contents_(std::move(contents)), view_(contents_->view())
    {
    }
    std::uint64_t size() const override { return view_.size(); }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override
    {
        return view_.read_at(offset, out);
    }

private:
    std::shared_ptr<const Buffer> contents_;
    MemorySource view_;
};

class MemoryPendingFile final : public PendingFile {
public:
    MemoryPendingFile(std::shared_ptr<Files> files, std::string path, WriteMode mode)
        : files_(std::move(files)), path_(std::move(path)), mode_(mode)
    {
    }

    void write(ByteView bytes) override
    {
        check_open();
        contents_->append(bytes);
    }

    void commit() override
    {
        check_open();
        const std::lock_guard lock(files_->mutex);
        if (mode_ != WriteMode::replace && files_->by_path.contains(path_)) {
            raise(ErrorCode::file_exists, "unable to write '{}': the file exists already", path_);
        }
        files_->by_path[path_] = {std::move(contents_), now_seconds()};
    }

private:
    void check_open() const
    {
        if (!contents_) {
            raise(ErrorCode::assertion, "'{}' is committed already", path_);
        }
    }

    std::shared_ptr<Files> files_;
    std::string path_;
    WriteMode mode_;
    std::shared_ptr<Buffer> contents_ = std::make_shared<Buffer>();
};

class MemoryStorage final : public Storage {
public:
    std::string location() const override { return "memory"; }
    bool is_listing_cheap() const noexcept override { return true; }

    std::optional<EntryInfo> info(std::string_view path) const override
    {
        check_path_or_root(path);
        const std::lock_guard lock(files_->mutex);
        if (const auto found = files_->by_path.find(path); found != files_->by_path.end()) {
            return file_info(found->first, found->second);
        }
        const std::string prefix = path.empty() ? "" : std::string(path) + "/";
        const auto below = files_->by_path.lower_bound(prefix);
        if (path.empty() || (below != files_->by_path.end() && below->first.starts_with(prefix))) {
            return EntryInfo{.name = std::string(file_name(path)), .type = EntryType::directory};
        }
        return std::nullopt;
    }

    void list(std::string_view directory, const Visitor& visit) const override
    {
        check_path_or_root(directory);
        const auto entries = entries_in(directory);
        std::for_each(entries.begin(), entries.end(), visit);
    }

    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        check_path(path);
        const std::lock_guard lock(files_->mutex);
        const auto found = files_->by_path.find(path);
        if (found == files_->by_path.end()) {
            raise(ErrorCode::file_missing, "unable to open '{}': no such file", path);
        }
        return std::make_unique<MemoryFileSource>(found->second.contents);
    }

    std::unique_ptr<PendingFile> create(std::string_view path, WriteMode mode) override
    {
        check_path(path);
        return std::make_unique<MemoryPendingFile>(files_, std::string(path), mode);
    }

    void make_durable(std::string_view path) override { check_path(path); }

    bool remove(std::string_view path) override
    {
        check_path(path);
        const std::lock_guard lock(files_->mutex);
        return files_->by_path.erase(std::string(path)) != 0;
    }

    bool remove_directory(std::string_view path) override
    {
        check_path(path);
        return false;
    }

private:
    static EntryInfo file_info(std::string_view path, const File& file)
    {
        return {.name = std::string(file_name(path)),
                .type = EntryType::file,
                .size = file.contents->size(),
                .mtime = file.mtime};
    }

    // Ordered by name: below a directory, "a.b" comes before "a/c" in the map but after "a" here.
    std::vector<EntryInfo> entries_in(std::string_view directory) const
    {
        const std::string prefix = directory.empty() ? "" : std::string(directory) + "/";
        std::map<std::string, EntryInfo> entries;
        const std::lock_guard lock(files_->mutex);
        for (auto at = files_->by_path.lower_bound(prefix);
             at != files_->by_path.end() && at->first.starts_with(prefix);
             ++at) {
            const std::string rest = at->first.substr(prefix.size());
            const std::string name = rest.substr(0, rest.find('/'));
            entries.try_emplace(name,
                                name.size() == rest.size()
                                    ? file_info(rest, at->second)
                                    : EntryInfo{.name = name, .type = EntryType::directory});
        }
        std::vector<EntryInfo> result;
        result.reserve(entries.size());
        for (auto& [name, entry] : entries) {
            result.push_back(std::move(entry));
        }
        return result;
    }

    std::shared_ptr<Files> files_ = std::make_shared<Files>();
};

} // namespace

std::unique_ptr<Storage> make_memory_storage()
{
    return std::make_unique<MemoryStorage>();
}

} // namespace pgstrata::storage
