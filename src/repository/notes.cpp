// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/notes.hpp"

#include "repository/numbered_documents.hpp"

#include "pgstrata/repository/document.hpp"

#include <nlohmann/json.hpp>

namespace pgstrata::repository {

namespace {

nlohmann::json to_json(const BackupNote& note)
{
    nlohmann::json document = {{"format", kRepositoryFormat},
                               {"timestamp", static_cast<std::uint64_t>(note.time)},
                               {"host", note.host},
                               {"annotation", note.annotations}};
    if (note.is_pinned) {
        document["pinned"] = *note.is_pinned;
    }
    if (note.retain) {
        document["retain"] = *note.retain;
    }
    return document;
}

BackupNote note_of(const nlohmann::json& document, const std::string& path)
{
    check_document_format(document, path);
    BackupNote note;
    note.time = static_cast<UnixSeconds>(document_number(document, "timestamp", path));
    note.host = document_text(document, "host", path);
    note.annotations = document_texts(document, "annotation", path);
    if (const auto pinned = document.find("pinned"); pinned != document.end()) {
        if (!pinned->is_boolean()) {
            raise(ErrorCode::format, "'{}' in the repository has an invalid 'pinned'", path);
        }
        note.is_pinned = pinned->get<bool>();
    }
    if (document.contains("retain")) {
        note.retain = document_number(document, "retain", path);
    }
    return note;
}

// Whoever removes a backup looks for notes after its summary went, so that one of the two learns of
// the other.
void check_still_there(const Repository& repository,
                       std::string_view stanza,
                       std::string_view label)
{
    if (!repository.storage().info(summary_path(stanza, label))) {
        throw Error(
            ErrorCode::backup_set_invalid,
            fmt::format("backup '{}' was removed at this moment, maybe by another host", label),
            "info lists the backups that are left");
    }
}

} // namespace

void write_note(const Repository& repository,
                std::string_view stanza,
                std::string_view label,
                const BackupNote& note)
{
    if (!repository.storage().info(summary_path(stanza, label))) {
        raise(ErrorCode::file_missing, "there is no backup '{}' to write a note of", label);
    }
    write_next_document(
        repository,
        notes_path(stanza, label),
        [&](unsigned number) { return note_path(stanza, label, number); },
        to_json(note));
    check_still_there(repository, stanza, label);
}

std::vector<BackupNote>
read_notes(const Repository& repository, std::string_view stanza, std::string_view label)
{
    std::vector<BackupNote> notes;
    for (const unsigned number : document_numbers(repository, notes_path(stanza, label))) {
        const std::string path = note_path(stanza, label, number);
        notes.push_back(note_of(repository.read_document(path), path));
    }
    return notes;
}

void apply_note(const BackupNote& note, BackupSummary& summary)
{
    for (const auto& [key, value] : note.annotations) {
        if (value.empty()) {
            summary.annotations.erase(key);
        } else {
            summary.annotations[key] = value;
        }
    }
    summary.is_pinned = note.is_pinned.value_or(summary.is_pinned);
    summary.retain = note.retain.value_or(summary.retain);
}

} // namespace pgstrata::repository
