// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/spool.hpp"

#include "pgstrata/util/directory.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

namespace pgstrata::engine {

namespace {

constexpr std::size_t kMarkLimit = 65536;
constexpr unsigned kMarkMode = 0640;
constexpr unsigned kSpoolMode = 0750;
constexpr std::string_view kErrorSuffix = ".error";

std::string with_suffix(std::string_view wal, std::string_view suffix)
{
    return fmt::format("{}{}", wal, suffix);
}

// The numbers are the exit statuses of the program; one that is none of them came from elsewhere.
ErrorCode error_code(std::string_view text)
{
    constexpr unsigned kLowest = 25;
    constexpr unsigned kHighest = 125;
    unsigned number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_code = failure == std::errc() && end == text.data() + text.size() &&
                         number >= kLowest && number <= kHighest;
    return is_code ? static_cast<ErrorCode>(number) : ErrorCode::runtime;
}

} // namespace

std::optional<WalOnDisk> look_at_wal(const std::string& path)
{
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) {
            return std::nullopt;
        }
        raise_errno(ErrorCode::file_info, errno, fmt::format("look at '{}'", path));
    }
    WalOnDisk file;
    file.size = static_cast<std::uint64_t>(status.st_size);
    file.identity = fmt::format("{}:{} {} {}.{:09} {}.{:09}",
                                status.st_dev,
                                status.st_ino,
                                status.st_size,
                                status.st_mtim.tv_sec,
                                status.st_mtim.tv_nsec,
                                status.st_ctim.tv_sec,
                                status.st_ctim.tv_nsec);
    return file;
}

Spool::Spool(const std::string& root, const std::string& stanza, SpoolFolder folder)
    : path_(fmt::format("{}/archive/{}/{}", root, stanza, folder == SpoolFolder::in ? "in" : "out"))
{
    if (!is_safe_relative_path(stanza) || stanza.find('/') != std::string::npos) {
        raise(ErrorCode::parameter_invalid, "'{}' is not a stanza name", stanza);
    }
}

std::string Spool::path(std::string_view name) const
{
    return join_path(path_, name);
}

void Spool::prepare() const
{
    try {
        make_directories(path_, kSpoolMode);
        const std::string probe = with_suffix(random_tag(), ".probe");
        write_text(probe, "\n");
        remove(probe);
    } catch (const Error& error) {
        throw error.within("prepare the directory of option 'spool-path'");
    }
}

std::vector<std::string> Spool::names() const
{
    const Directory directory(::opendir(path_.c_str()));
    std::vector<std::string> found;
    if (!directory && errno == ENOENT) {
        return found;
    }
    if (!directory) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("open directory '{}'", path_));
    }
    errno = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            found.emplace_back(name);
        }
        errno = 0;
    }
    if (errno != 0) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("list directory '{}'", path_));
    }
    std::ranges::sort(found);
    return found;
}

bool Spool::remove(std::string_view name) const
{
    const std::string file = path(name);
    if (::unlink(file.c_str()) == 0) {
        return true;
    }
    if (errno != ENOENT) {
        raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", file));
    }
    return false;
}

std::string Spool::read_text(std::string_view name) const
{
    const std::string file = path(name);
    const FileDescriptor opened(
        ::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!opened.is_open()) {
        if (errno == ENOENT) {
            return {};
        }
        raise_errno(ErrorCode::file_open, errno, fmt::format("open '{}'", file));
    }
    std::string text(kMarkLimit, '\0');
    text.resize(read_fully(
        opened.get(), std::as_writable_bytes(std::span(text.data(), text.size())), file));
    return text;
}

void Spool::write_text(std::string_view name, std::string_view text) const
{
    write_file_durably(path(name), as_bytes(text.substr(0, kMarkLimit)), kMarkMode);
}

std::optional<Spool::Stored> Spool::read_stored(std::string_view wal) const
{
    const std::string text = read_text(with_suffix(wal, kOkSuffix));
    const auto end = text.find('\n');
    // Without a line feed it was not written by us, or not to its end.
    if (end == 0 || end == std::string::npos) {
        return std::nullopt;
    }
    Stored stored{text.substr(0, end), std::nullopt};
    const auto warning = text.find('\n', end + 1);
    if (warning != std::string::npos) {
        stored.warning = text.substr(warning + 1);
    }
    return stored;
}

void Spool::write_stored(std::string_view wal, const Stored& stored) const
{
    write_text(with_suffix(wal, kOkSuffix),
               stored.warning ? fmt::format("{}\n0\n{}", stored.identity, *stored.warning)
                              : stored.identity + "\n");
}

bool Spool::has_absent(std::string_view wal) const
{
    return ::access(path(with_suffix(wal, kOkSuffix)).c_str(), F_OK) == 0;
}

void Spool::write_absent(std::string_view wal) const
{
    write_text(with_suffix(wal, kOkSuffix), "");
}

std::optional<Error> Spool::read_error(std::string_view wal) const
{
    std::string text = read_text(with_suffix(wal, kErrorSuffix));
    if (text.empty()) {
        text = read_text(with_suffix(kGlobal, kErrorSuffix));
    }
    const auto end = text.find('\n');
    if (text.empty()) {
        return std::nullopt;
    }
    if (end == std::string::npos) {
        return Error(ErrorCode::runtime, text);
    }
    const std::string_view code = std::string_view(text).substr(0, end);
    return Error(error_code(code), text.substr(end + 1));
}

std::vector<std::string> Spool::failed() const
{
    std::vector<std::string> wals;
    for (const std::string_view name : names()) {
        const std::string_view wal =
            name.substr(0, name.size() - std::min(name.size(), kErrorSuffix.size()));
        if (name.ends_with(kErrorSuffix) && wal != kGlobal) {
            wals.emplace_back(wal);
        }
    }
    return wals;
}

std::string Spool::error_identity(std::string_view wal) const
{
    std::string identity;
    for (const std::string_view name : {wal, kGlobal}) {
        const auto mark = look_at_wal(path(with_suffix(name, kErrorSuffix)));
        identity += mark ? mark->identity : "";
    }
    return identity;
}

void Spool::write_error(std::string_view wal, const Error& error) const
{
    write_text(with_suffix(wal, kErrorSuffix),
               fmt::format("{}\n{}{}{}",
                           error.exit_status(),
                           error.what(),
                           error.hint().empty() ? "" : "\nHINT: ",
                           error.hint()));
}

void Spool::remove_errors(std::string_view wal) const
{
    remove(with_suffix(wal, kErrorSuffix));
    remove(with_suffix(kGlobal, kErrorSuffix));
}

void clear_spool(const std::string& root, const std::string& stanza)
{
    for (const SpoolFolder folder : {SpoolFolder::in, SpoolFolder::out}) {
        const Spool spool(root, stanza, folder);
        for (const std::string& name : spool.names()) {
            if (!name.ends_with(Spool::kGapSuffix)) {
                spool.remove(name);
            }
        }
    }
}

} // namespace pgstrata::engine
