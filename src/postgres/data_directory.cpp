// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/data_directory.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace pgstrata::postgres {

namespace {

constexpr std::uint32_t kDefaultTablespace = 1663;
constexpr std::uint32_t kGlobalTablespace = 1664;
constexpr std::string_view kDigits = "0123456789";

constexpr std::array<std::string_view, 14> kLeftOut{"backup_label",
                                                    "backup_label.old",
                                                    "backup_manifest",
                                                    "backup_manifest.tmp",
                                                    "current_logfiles",
                                                    "current_logfiles.tmp",
                                                    "postgresql.auto.conf.tmp",
                                                    "postmaster.opts",
                                                    "postmaster.pid",
                                                    "recovery.done",
                                                    "recovery.signal",
                                                    "standby.signal",
                                                    "tablespace_map",
                                                    "tablespace_map.old"};

constexpr std::array<std::string_view, 7> kEmptied{"pg_dynshmem",
                                                   "pg_notify",
                                                   "pg_replslot",
                                                   "pg_serial",
                                                   "pg_snapshots",
                                                   "pg_stat_tmp",
                                                   "pg_subtrans"};

template <typename List>
bool contains(const List& list, std::string_view name) noexcept
{
    return std::find(list.begin(), list.end(), name) != list.end();
}

// Takes the first part off `path`, and the slash after it.
std::string_view take_part(std::string_view& path) noexcept
{
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(part.size() + 1, path.size()));
    return part;
}

std::string_view last_part(std::string_view path) noexcept
{
    return path.substr(path.rfind('/') + 1);
}

bool is_below(std::string_view path, std::string_view directory) noexcept
{
    return path.size() > directory.size() && path.starts_with(directory) &&
           path[directory.size()] == '/';
}

// A number as the server writes it: no sign, no leading zero.
std::optional<std::uint32_t> parse_number(std::string_view text) noexcept
{
    std::uint32_t value = 0;
    const char* const end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc{} || result.ptr != end || text.front() == '0') {
        return std::nullopt;
    }
    return value;
}

// Takes the leading digits off `text`.
std::string_view take_digits(std::string_view& text) noexcept
{
    const std::string_view digits = text.substr(0, text.find_first_not_of(kDigits));
    text.remove_prefix(digits.size());
    return digits;
}

Fork take_fork(std::string_view& text) noexcept
{
    struct Suffix {
        std::string_view text;
        Fork fork;
    };
    constexpr std::array<Suffix, 3> kSuffixes{
        {{"_fsm", Fork::free_space_map}, {"_vm", Fork::visibility_map}, {"_init", Fork::init}}};
    for (const Suffix& suffix : kSuffixes) {
        if (text.starts_with(suffix.text)) {
            text.remove_prefix(suffix.text.size());
            return suffix.fork;
        }
    }
    return Fork::main;
}

// Fills in what the file's name tells: "16384_vm.2".
bool parse_relation_name(std::string_view name, RelationFile& file) noexcept
{
    const auto relation = parse_number(take_digits(name));
    if (!relation) {
        return false;
    }
    file.relation = *relation;
    file.fork = take_fork(name);
    if (name.empty()) {
        return true;
    }
    const auto segment = parse_number(name.substr(1));
    if (name.front() != '.' || !segment) {
        return false;
    }
    file.segment = *segment;
    return true;
}

struct VersionDirectory {
    std::uint32_t major = 0;
    std::uint32_t catalog_version = 0;
};

// PG_15_202209061
std::optional<VersionDirectory> parse_version_directory(std::string_view name) noexcept
{
    constexpr std::string_view kPrefix = "PG_";
    if (!name.starts_with(kPrefix)) {
        return std::nullopt;
    }
    name.remove_prefix(kPrefix.size());
    const auto major = parse_number(take_digits(name));
    if (!major || !name.starts_with('_')) {
        return std::nullopt;
    }
    const auto catalog_version = parse_number(name.substr(1));
    if (!catalog_version) {
        return std::nullopt;
    }
    return VersionDirectory{*major, *catalog_version};
}

// Where the relation files of one database in one tablespace are.
struct DatabaseDirectory {
    std::uint32_t tablespace = 0;
    std::uint32_t database = 0;
};

// Takes base/<oid>, global or pg_tblspc/<oid>/PG_*/<oid> off `path`.
std::optional<DatabaseDirectory> take_database_directory(std::string_view& path) noexcept
{
    const std::string_view top = take_part(path);
    if (top == "global") {
        return DatabaseDirectory{kGlobalTablespace, 0};
    }
    std::optional<std::uint32_t> tablespace = kDefaultTablespace;
    if (top == "pg_tblspc") {
        tablespace = parse_number(take_part(path));
        if (!tablespace || !parse_version_directory(take_part(path))) {
            return std::nullopt;
        }
    } else if (top != "base") {
        return std::nullopt;
    }
    const auto database = parse_number(take_part(path));
    if (!database) {
        return std::nullopt;
    }
    return DatabaseDirectory{*tablespace, *database};
}

// t3_16384, with fork and segment as in other relation files.
bool is_temporary_relation(std::string_view path) noexcept
{
    const auto directory = take_database_directory(path);
    if (!directory || !path.starts_with('t')) {
        return false;
    }
    path.remove_prefix(1);
    if (take_digits(path).empty() || !path.starts_with('_')) {
        return false;
    }
    path.remove_prefix(1);
    if (take_digits(path).empty()) {
        return false;
    }
    take_fork(path);
    if (path.starts_with('.') && path.size() > 1) {
        path.remove_prefix(1);
        take_digits(path);
    }
    return path.empty();
}

bool has_temporary_part(std::string_view path) noexcept
{
    while (!path.empty()) {
        if (take_part(path).starts_with("pgsql_tmp")) {
            return true;
        }
    }
    return false;
}

// Something in a tablespace's directory that is not this cluster's.
bool is_foreign_in_tablespace(std::string_view path, const ScanRules& rules) noexcept
{
    if (take_part(path) != "pg_tblspc" || take_part(path).empty() || path.empty()) {
        return false;
    }
    const auto version = parse_version_directory(take_part(path));
    return !version || version->major != rules.major ||
           version->catalog_version != rules.catalog_version;
}

EntryClass
classify_in_emptied(std::string_view path, std::string_view directory, FileType type) noexcept
{
    if (is_below(path, directory)) {
        return EntryClass::skip;
    }
    const bool can_hold_entries = type == FileType::directory || type == FileType::link;
    return path == directory && can_hold_entries ? EntryClass::directory_only : EntryClass::copy;
}

EntryClass
classify_by_exclude(std::string_view path, std::string_view exclude, FileType type) noexcept
{
    if (exclude.ends_with('/')) {
        exclude.remove_suffix(1);
        return classify_in_emptied(path, exclude, type);
    }
    return path == exclude || is_below(path, exclude) ? EntryClass::skip : EntryClass::copy;
}

EntryClass classify_by_user(std::string_view path, FileType type, const ScanRules& rules) noexcept
{
    EntryClass decision = EntryClass::copy;
    if (!rules.log_directory.empty()) {
        decision = classify_in_emptied(path, rules.log_directory, type);
    }
    for (const std::string& exclude : rules.exclude) {
        decision = std::max(decision, classify_by_exclude(path, exclude, type));
    }
    return decision;
}

EntryClass classify_by_server(std::string_view path, FileType type, const ScanRules& rules) noexcept
{
    if (has_temporary_part(path) || is_temporary_relation(path) ||
        is_foreign_in_tablespace(path, rules) || last_part(path).starts_with("pg_internal.init") ||
        contains(kLeftOut, path)) {
        return EntryClass::skip;
    }
    std::string_view rest = path;
    const std::string_view top = take_part(rest);
    if (contains(kEmptied, top) || (top == "pg_wal" && rules.online)) {
        return classify_in_emptied(path, top, type);
    }
    return EntryClass::copy;
}

} // namespace

std::optional<RelationFile> parse_relation_path(std::string_view path) noexcept
{
    const auto directory = take_database_directory(path);
    if (!directory) {
        return std::nullopt;
    }
    RelationFile file;
    file.tablespace = directory->tablespace;
    file.database = directory->database;
    if (!parse_relation_name(path, file)) {
        return std::nullopt;
    }
    return file;
}

std::optional<std::uint32_t> database_of_path(std::string_view path) noexcept
{
    const auto directory = take_database_directory(path);
    if (!directory || directory->database == 0) {
        return std::nullopt;
    }
    return directory->database;
}

const std::string* find_exclude(std::string_view path, FileType type, const ScanRules& rules)
{
    if (rules.exclude.empty()) {
        return nullptr;
    }
    const EntryClass by_server = classify_by_server(path, type, rules);
    const auto found = std::ranges::find_if(rules.exclude, [&](const std::string& exclude) {
        return classify_by_exclude(path, exclude, type) > by_server;
    });
    return found == rules.exclude.end() ? nullptr : &*found;
}

EntryClass classify_entry(std::string_view path, FileType type, const ScanRules& rules)
{
    if (type == FileType::special) {
        return EntryClass::skip;
    }
    return std::max(classify_by_server(path, type, rules), classify_by_user(path, type, rules));
}

} // namespace pgstrata::postgres
