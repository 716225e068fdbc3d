// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/layout.hpp"

#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/util/hex.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pgstrata::repository {

namespace {

constexpr std::size_t kDigestDigits = 40;
constexpr std::size_t kLabelTimeSize = 15;
constexpr std::size_t kFullLabelSize = kLabelTimeSize + 1;
constexpr std::string_view kCompressedSuffix = ".zst";
constexpr std::string_view kDocumentSuffix = ".json";
constexpr std::string_view kLeaseName = "lease";
constexpr std::string_view kProbePrefix = "check-";
constexpr std::size_t kPackDigits = 6;
constexpr std::size_t kNoteDigits = 4;

std::optional<unsigned> parse_number(std::string_view text) noexcept
{
    unsigned value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_whole = failure == std::errc() && end == text.data() + text.size();
    return is_whole && value != 0 && text.front() != '0' ? std::optional(value) : std::nullopt;
}

// Padded with zeros to that many digits.
std::optional<std::uint32_t> parse_padded(std::string_view text, std::size_t digits) noexcept
{
    std::uint32_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_whole = failure == std::errc() && end == text.data() + text.size();
    const bool is_padded = text.size() == digits || (text.size() > digits && text.front() != '0');
    return is_whole && is_padded ? std::optional(value) : std::nullopt;
}

} // namespace

bool is_valid_stanza_name(std::string_view name) noexcept
{
    const auto is_allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    };
    return !name.empty() && name.size() <= kLongestStanzaName && name.front() != '.' &&
           name.front() != '-' && std::ranges::all_of(name, is_allowed);
}

std::string to_string(ArchiveId id)
{
    return fmt::format("{}-{}", id.major, id.number);
}

std::optional<ArchiveId> parse_archive_id(std::string_view text) noexcept
{
    const auto dash = text.find('-');
    if (dash == std::string_view::npos || dash == 0 || dash + 1 == text.size()) {
        return std::nullopt;
    }
    const auto major = parse_number(text.substr(0, dash));
    const auto number = parse_number(text.substr(dash + 1));
    if (!major || !number) {
        return std::nullopt;
    }
    return ArchiveId{*major, *number};
}

std::string_view to_string(BackupType type) noexcept
{
    switch (type) {
    case BackupType::diff:
        return "diff";
    case BackupType::incr:
        return "incr";
    case BackupType::full:
        break;
    }
    return "full";
}

std::optional<BackupLabel> parse_backup_label(std::string_view text)
{
    BackupLabel label;
    if (text.size() == kFullLabelSize && text.back() == 'F') {
        const auto time = parse_label_time(text.substr(0, kLabelTimeSize));
        if (!time) {
            return std::nullopt;
        }
        return BackupLabel{BackupType::full, std::string(text), *time};
    }
    if (text.size() != 2 * kFullLabelSize + 1 || text[kFullLabelSize] != '_') {
        return std::nullopt;
    }
    const auto full = parse_backup_label(text.substr(0, kFullLabelSize));
    const auto time = parse_label_time(text.substr(kFullLabelSize + 1, kLabelTimeSize));
    if (!full || !time || (text.back() != 'D' && text.back() != 'I')) {
        return std::nullopt;
    }
    return BackupLabel{text.back() == 'D' ? BackupType::diff : BackupType::incr, full->full, *time};
}

std::string make_backup_label(BackupType type, std::string_view full, UnixSeconds time)
{
    const std::string stamp = format_label_time(time);
    if (type == BackupType::full) {
        return stamp + "F";
    }
    return fmt::format("{}_{}{}", full, stamp, type == BackupType::diff ? 'D' : 'I');
}

std::string key_path(std::string_view key_id)
{
    return fmt::format("{}/{}.json", kKeysDirectory, key_id);
}

std::string copy_path(std::string_view path)
{
    return fmt::format("{}/{}", kCopyDirectory, path);
}

std::string_view origin_path(std::string_view path) noexcept
{
    return is_copy_path(path) ? path.substr(std::min(path.size(), kCopyDirectory.size() + 1))
                              : path;
}

bool is_copy_path(std::string_view path) noexcept
{
    return path.substr(0, path.find('/')) == kCopyDirectory;
}

std::string archive_path(std::string_view stanza)
{
    return fmt::format("{}/{}", kArchiveDirectory, stanza);
}

std::string archive_path(std::string_view stanza, ArchiveId id)
{
    return fmt::format("{}/{}/{}", kArchiveDirectory, stanza, to_string(id));
}

std::string cluster_path(std::string_view stanza, ArchiveId id)
{
    return archive_path(stanza, id) + "/cluster.json";
}

std::string probe_path(std::string_view stanza, std::string_view tag)
{
    return fmt::format("{}/{}{}", archive_path(stanza), kProbePrefix, tag);
}

bool is_probe_name(std::string_view name)
{
    return name.starts_with(kProbePrefix) && is_hex(name.substr(kProbePrefix.size()));
}

std::string wal_directory(std::string_view stanza, ArchiveId id, std::string_view wal_name)
{
    const std::string archive = archive_path(stanza, id);
    const auto name = postgres::parse_wal_file_name(wal_name);
    const bool is_history = name && name->kind == postgres::WalFileKind::history;
    return is_history ? archive : fmt::format("{}/{}", archive, wal_name.substr(0, 16));
}

std::string to_string(const WalObjectName& name)
{
    return fmt::format(
        "{}-{}{}", name.wal_name, name.digest, name.is_compressed ? kCompressedSuffix : "");
}

std::optional<WalObjectName> parse_wal_object_name(std::string_view text)
{
    WalObjectName name;
    if (text.ends_with(kCompressedSuffix)) {
        name.is_compressed = true;
        text.remove_suffix(kCompressedSuffix.size());
    }
    if (text.size() <= kDigestDigits + 1 || text[text.size() - kDigestDigits - 1] != '-') {
        return std::nullopt;
    }
    name.digest = text.substr(text.size() - kDigestDigits);
    name.wal_name = text.substr(0, text.size() - kDigestDigits - 1);
    const bool is_lower =
        std::ranges::none_of(name.digest, [](char c) { return c >= 'A' && c <= 'F'; });
    if (!is_hex(name.digest) || !is_lower || !postgres::parse_wal_file_name(name.wal_name)) {
        return std::nullopt;
    }
    return name;
}

std::string gap_path(std::string_view stanza, ArchiveId id)
{
    return archive_path(stanza, id) + "/gap";
}

std::string gap_path(std::string_view stanza, ArchiveId id, std::string_view wal_name)
{
    return fmt::format("{}/{}{}", gap_path(stanza, id), wal_name, kDocumentSuffix);
}

std::optional<std::string> parse_gap_name(std::string_view name)
{
    if (!name.ends_with(kDocumentSuffix)) {
        return std::nullopt;
    }
    std::string wal_name(name.substr(0, name.size() - kDocumentSuffix.size()));
    return postgres::parse_wal_file_name(wal_name) ? std::optional(std::move(wal_name))
                                                   : std::nullopt;
}

std::string backup_path(std::string_view stanza)
{
    return fmt::format("{}/{}", kBackupDirectory, stanza);
}

std::string backup_path(std::string_view stanza, std::string_view label)
{
    return fmt::format("{}/{}/{}", kBackupDirectory, stanza, label);
}

std::string pack_path(std::string_view stanza, std::string_view label)
{
    return backup_path(stanza, label) + "/pack";
}

std::string pack_path(std::string_view stanza, std::string_view label, std::uint32_t number)
{
    return fmt::format("{}/{:0{}}", pack_path(stanza, label), number, kPackDigits);
}

std::string manifest_path(std::string_view stanza, std::string_view label)
{
    return backup_path(stanza, label) + "/manifest";
}

std::string lease_path(std::string_view stanza, std::string_view label, unsigned turn)
{
    const std::string first = fmt::format("{}/{}", backup_path(stanza, label), kLeaseName);
    return turn == 0 ? first : fmt::format("{}.{}", first, turn);
}

std::optional<unsigned> parse_lease_name(std::string_view name) noexcept
{
    if (name == kLeaseName) {
        return 0;
    }
    if (!name.starts_with(kLeaseName) || name.substr(kLeaseName.size(), 1) != ".") {
        return std::nullopt;
    }
    const auto turn = parse_number(name.substr(kLeaseName.size() + 1));
    return turn && *turn < kLeaseTurnLimit ? turn : std::nullopt;
}

std::string journal_path(std::string_view stanza, std::string_view label)
{
    return backup_path(stanza, label) + "/journal";
}

std::string journal_path(std::string_view stanza, std::string_view label, std::uint32_t number)
{
    return fmt::format("{}/{:0{}}", journal_path(stanza, label), number, kPackDigits);
}

std::optional<std::uint32_t> parse_pack_number(std::string_view name) noexcept
{
    const auto number = parse_padded(name, kPackDigits);
    return number && *number < kPackNumberLimit ? number : std::nullopt;
}

std::string summary_path(std::string_view stanza, std::string_view label)
{
    return backup_path(stanza, label) + "/backup.json";
}

std::string notes_path(std::string_view stanza, std::string_view label)
{
    return backup_path(stanza, label) + "/notes";
}

std::string note_path(std::string_view stanza, std::string_view label, unsigned number)
{
    return fmt::format("{}/{:0{}}.json", notes_path(stanza, label), number, kNoteDigits);
}

std::string history_path(std::string_view stanza)
{
    return backup_path(stanza) + "/history";
}

std::string history_path(std::string_view stanza, std::string_view label)
{
    return fmt::format("{}/{}{}", history_path(stanza), label, kDocumentSuffix);
}

std::optional<std::string> parse_history_name(std::string_view name)
{
    if (!name.ends_with(kDocumentSuffix)) {
        return std::nullopt;
    }
    std::string label(name.substr(0, name.size() - kDocumentSuffix.size()));
    return parse_backup_label(label) ? std::optional(std::move(label)) : std::nullopt;
}

std::string verify_path(std::string_view stanza)
{
    return backup_path(stanza) + "/verify";
}

std::string verify_path(std::string_view stanza, unsigned number)
{
    return fmt::format("{}/{:0{}}{}", verify_path(stanza), number, kNoteDigits, kDocumentSuffix);
}

std::optional<unsigned> parse_note_name(std::string_view name) noexcept
{
    if (!name.ends_with(kDocumentSuffix)) {
        return std::nullopt;
    }
    return parse_padded(name.substr(0, name.size() - kDocumentSuffix.size()), kNoteDigits);
}

} // namespace pgstrata::repository
