// SPDX-License-Identifier: PostgreSQL
#include "command/object_kind.hpp"

#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/layout.hpp"

#include <string>
#include <vector>

namespace pgstrata::command {

namespace {

using codec::ObjectKind;

std::vector<std::string_view> split(std::string_view path)
{
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        parts.push_back(path.substr(0, slash));
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    return parts;
}

std::optional<ObjectKind>
archive_kind(std::string_view path, std::string_view stanza, std::string_view generation)
{
    const auto id = repository::parse_archive_id(generation);
    if (!id) {
        return std::nullopt;
    }
    const std::string_view file = path.substr(path.rfind('/') + 1);
    const auto dropped = repository::parse_gap_name(file);
    if (path == repository::cluster_path(stanza, *id) ||
        (dropped && path == repository::gap_path(stanza, *id, *dropped))) {
        return ObjectKind::document;
    }
    const auto object = repository::parse_wal_object_name(file);
    const auto name = object ? postgres::parse_wal_file_name(object->wal_name) : std::nullopt;
    if (!name || path != repository::wal_directory(stanza, *id, object->wal_name) + "/" +
                             std::string(file)) {
        return std::nullopt;
    }
    const bool is_segment = name->kind == postgres::WalFileKind::segment ||
                            name->kind == postgres::WalFileKind::partial;
    return is_segment ? ObjectKind::wal : ObjectKind::archive_file;
}

std::optional<ObjectKind>
backup_kind(std::string_view path, std::string_view stanza, std::string_view label)
{
    if (path.starts_with(repository::history_path(stanza) + "/") ||
        path.starts_with(repository::verify_path(stanza) + "/")) {
        return ObjectKind::document;
    }
    if (!repository::parse_backup_label(label)) {
        return std::nullopt;
    }
    if (path == repository::manifest_path(stanza, label)) {
        return ObjectKind::manifest;
    }
    if (path.starts_with(repository::backup_path(stanza, label) + "/pack/")) {
        return ObjectKind::pack;
    }
    const bool is_document = path == repository::summary_path(stanza, label) ||
                             path == repository::lease_path(stanza, label) ||
                             path.starts_with(repository::notes_path(stanza, label) + "/");
    return is_document ? std::optional(ObjectKind::document) : std::nullopt;
}

} // namespace

std::optional<ObjectKind> object_kind(std::string_view path)
{
    const auto parts = split(path);
    if (parts.size() < 4) {
        return std::nullopt;
    }
    if (parts[0] == repository::kArchiveDirectory) {
        return archive_kind(path, parts[1], parts[2]);
    }
    return parts[0] == repository::kBackupDirectory ? backup_kind(path, parts[1], parts[2])
                                                    : std::nullopt;
}

} // namespace pgstrata::command
