// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/verify_record.hpp"

#include "repository/numbered_documents.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/object_error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace pgstrata::repository {

namespace {

// More than any repository has; bounds what a record may allocate.
constexpr std::uint64_t kMostPacks = 1U << 22U;
// Damaged WAL files that a record names: it must not grow with an archive that is damaged all over.
constexpr std::size_t kMostWal = 1000;

[[noreturn]] void raise_invalid(const std::string& path, std::string_view member)
{
    raise(ErrorCode::format, "'{}' in the repository has an invalid '{}'", path, member);
}

// {"label": [[first, last], ...]}
nlohmann::json encode_packs(const std::set<PackName>& packs)
{
    auto encoded = nlohmann::json::object();
    for (const PackName& pack : packs) {
        nlohmann::json& runs = encoded[pack.label];
        if (!runs.empty() && runs.back()[1].get<std::uint32_t>() + 1 == pack.number) {
            runs.back()[1] = pack.number;
        } else {
            runs.push_back({pack.number, pack.number});
        }
    }
    return encoded;
}

std::set<PackName> decode_packs(const nlohmann::json& document, const std::string& path)
{
    const auto member = document.find("packs");
    if (member == document.end() || !member->is_object()) {
        raise_invalid(path, "packs");
    }
    std::set<PackName> packs;
    for (const auto& [label, runs] : member->items()) {
        if (!parse_backup_label(label) || !runs.is_array()) {
            raise_invalid(path, "packs");
        }
        for (const nlohmann::json& run : runs) {
            if (!run.is_array() || run.size() != 2 || !run[0].is_number_unsigned() ||
                !run[1].is_number_unsigned()) {
                raise_invalid(path, "packs");
            }
            const auto first = run[0].get<std::uint64_t>();
            const auto last = run[1].get<std::uint64_t>();
            if (last >= kPackNumberLimit || last < first ||
                last - first >= kMostPacks - packs.size()) {
                raise_invalid(path, "packs");
            }
            for (std::uint64_t number = first; number <= last; ++number) {
                packs.insert(packs.end(), {label, static_cast<std::uint32_t>(number)});
            }
        }
    }
    return packs;
}

nlohmann::json encode_damage(const Damage& damage)
{
    auto encoded = nlohmann::json::array();
    for (const auto& [pack, places] : damage.places()) {
        for (const DamagedPlace& place : places) {
            nlohmann::json one = {{"label", pack.label},
                                  {"pack", pack.number},
                                  {"begin", place.begin},
                                  {"problem", place.problem}};
            if (place.end != DamagedPlace::kToTheEnd) {
                one["end"] = place.end;
            }
            if (place.size != DamagedPlace::kAll) {
                one["position"] = place.position;
                one["size"] = place.size;
            }
            encoded.push_back(std::move(one));
        }
    }
    return encoded;
}

std::uint32_t
place_number(const nlohmann::json& document, const char* member, const std::string& path)
{
    const std::uint64_t number = document_number(document, member, path);
    if (number >= DamagedPlace::kAll) {
        raise_invalid(path, member);
    }
    return static_cast<std::uint32_t>(number);
}

Damage decode_damage(const nlohmann::json& document, const std::string& path)
{
    const auto member = document.find("damage");
    if (member == document.end() || !member->is_array()) {
        raise_invalid(path, "damage");
    }
    Damage damage;
    for (const nlohmann::json& one : *member) {
        DamagedPlace place;
        place.pack.label = document_text(one, "label", path);
        place.pack.number = place_number(one, "pack", path);
        place.begin = document_number(one, "begin", path);
        place.problem = document_text(one, "problem", path);
        if (one.contains("end")) {
            place.end = document_number(one, "end", path);
        }
        if (one.contains("size")) {
            place.position = place_number(one, "position", path);
            place.size = place_number(one, "size", path);
        }
        if (!parse_backup_label(place.pack.label)) {
            raise_invalid(path, "damage");
        }
        damage.add(std::move(place));
    }
    return damage;
}

nlohmann::json encode_wal(const std::map<std::string, std::string>& wal)
{
    auto encoded = nlohmann::json::array();
    for (const auto& [object, problem] : wal) {
        if (encoded.size() == kMostWal) {
            break;
        }
        encoded.push_back({{"object", object}, {"problem", problem}});
    }
    return encoded;
}

// Records of earlier versions have none.
std::map<std::string, std::string> decode_wal(const nlohmann::json& document,
                                              const std::string& path)
{
    const auto member = document.find("wal");
    std::map<std::string, std::string> wal;
    if (member == document.end()) {
        return wal;
    }
    if (!member->is_array() || member->size() > kMostWal) {
        raise_invalid(path, "wal");
    }
    for (const nlohmann::json& one : *member) {
        wal.emplace(document_text(one, "object", path), document_text(one, "problem", path));
    }
    return wal;
}

// Records of earlier versions have none: they are of full runs.
VerifyDepth decode_depth(const nlohmann::json& document, const std::string& path)
{
    if (!document.contains("depth")) {
        return VerifyDepth::full;
    }
    const auto depth = parse_depth(document_text(document, "depth", path));
    if (!depth) {
        raise_invalid(path, "depth");
    }
    return *depth;
}

nlohmann::json to_json(const VerifyRecord& record)
{
    return {{"format", kRepositoryFormat},
            {"start", static_cast<std::uint64_t>(record.start)},
            {"stop", static_cast<std::uint64_t>(record.stop)},
            {"host", record.host},
            {"set", record.set},
            {"from", record.from},
            {"to", record.to},
            {"depth", depth_name(record.depth)},
            {"packs", encode_packs(record.packs)},
            {"pack-bytes", record.pack_bytes},
            {"segments", record.segments},
            {"findings", record.findings},
            {"damage", encode_damage(record.damage)},
            {"wal", encode_wal(record.wal)}};
}

VerifyRecord record_of(const nlohmann::json& document, const std::string& path)
{
    check_document_format(document, path);
    VerifyRecord record;
    record.start = static_cast<UnixSeconds>(document_number(document, "start", path));
    record.stop = static_cast<UnixSeconds>(document_number(document, "stop", path));
    record.host = document_text(document, "host", path);
    record.set = document_text(document, "set", path);
    record.from = document_number(document, "from", path);
    record.to = document_number(document, "to", path);
    record.depth = decode_depth(document, path);
    record.packs = decode_packs(document, path);
    record.pack_bytes = document_number(document, "pack-bytes", path);
    record.segments = document_number(document, "segments", path);
    record.findings = document_number(document, "findings", path);
    record.damage = decode_damage(document, path);
    record.wal = decode_wal(document, path);
    return record;
}

bool is_there(const PackName& pack, const std::vector<std::string>& labels)
{
    return std::ranges::binary_search(labels, pack.label);
}

void add_places(const std::vector<DamagedPlace>& places, UnixSeconds since, Damage& known)
{
    for (DamagedPlace place : places) {
        place.since = since;
        known.add(std::move(place));
    }
}

// Whether all that the first has read it has read after the second ended. Of runs at the same time
// nobody knows, and a clock that goes back decides nothing.
bool is_after(const VerifyRecord& later, const VerifyRecord& earlier)
{
    return later.number > earlier.number && later.start >= std::max(earlier.start, earlier.stop);
}

bool is_over_all_backups(const VerifyRecord& record)
{
    return record.depth == VerifyDepth::full && record.set.empty();
}

bool has_read(const VerifyRecord& record, const PackName& pack)
{
    return record.packs.contains(pack);
}

// A WAL file, wherever it is, and would name it.
bool has_read(const VerifyRecord& record, std::string_view path)
{
    return is_over_all_backups(record) && record.wal.size() < kMostWal &&
           is_in_share(record.from, record.to, path);
}

// Whether a run after that of `record` has read the pack or WAL file. Asked of what is damaged, and
// of what else a record names only until the first that it has read last.
template <typename Object>
bool is_read_after(const std::vector<VerifyRecord>& records,
                   const VerifyRecord& record,
                   const Object& object)
{
    return std::ranges::any_of(records, [&](const VerifyRecord& other) {
        return is_after(other, record) && has_read(other, object);
    });
}

// Of those that cannot be read: what a run over everything has said since.
std::vector<std::string> replaced_records(const Repository& repository,
                                          std::string_view stanza,
                                          const std::vector<VerifyRecord>& records)
{
    std::vector<std::string> paths;
    repository.storage().list(verify_path(stanza), [&](const storage::EntryInfo& entry) {
        const auto number = parse_note_name(entry.name);
        if (!number ||
            std::ranges::find(records, *number, &VerifyRecord::number) != records.end()) {
            return;
        }
        const auto replaces = [&](const VerifyRecord& record) {
            return record.number > *number && is_over_all_backups(record) &&
                   record.from == record.to && record.start >= entry.mtime;
        };
        if (std::ranges::any_of(records, replaces)) {
            paths.push_back(verify_path(stanza, *number));
        }
    });
    return paths;
}

} // namespace

std::string_view depth_name(VerifyDepth depth) noexcept
{
    return depth == VerifyDepth::quick ? "quick" : "full";
}

std::optional<VerifyDepth> parse_depth(std::string_view name) noexcept
{
    for (const VerifyDepth depth : {VerifyDepth::quick, VerifyDepth::full}) {
        if (name == depth_name(depth)) {
            return depth;
        }
    }
    return std::nullopt;
}

bool is_in_share(std::uint64_t from, std::uint64_t to, std::string_view path) noexcept
{
    if (from == to) {
        return true;
    }
    const std::uint64_t hash = codec::xxh3_64(as_bytes(path));
    return from < to ? hash >= from && hash < to : hash >= from || hash < to;
}

void write_verify_record(const Repository& repository,
                         std::string_view stanza,
                         const VerifyRecord& record)
{
    write_next_document(
        repository,
        verify_path(stanza),
        [&](unsigned number) { return verify_path(stanza, number); },
        to_json(record));
}

std::vector<VerifyRecord> read_verify_records(const Repository& repository, std::string_view stanza)
{
    std::vector<VerifyRecord> records;
    for (const unsigned number : document_numbers(repository, verify_path(stanza))) {
        const std::string path = verify_path(stanza, number);
        try {
            records.push_back(record_of(repository.read_document(path), path));
            records.back().number = number;
        } catch (const Error& error) {
            if (!is_unusable(repository, error)) {
                throw;
            }
            log::warn("a record of verify is passed over, damage that it told of is not known any "
                      "more: {}\nHINT: verify without --sample and --set replaces it",
                      error.what());
        }
    }
    return records;
}

Damage known_damage(const std::vector<VerifyRecord>& records,
                    const std::vector<std::string>& labels)
{
    Damage known;
    for (const VerifyRecord& record : records) {
        for (const auto& [pack, places] : record.damage.places()) {
            if (is_there(pack, labels) && !is_read_after(records, record, pack)) {
                add_places(places, record.start, known);
            }
        }
    }
    return known;
}

std::map<std::string, DamagedWal> known_damaged_wal(const std::vector<VerifyRecord>& records)
{
    std::map<std::string, DamagedWal> known;
    for (const VerifyRecord& record : records) {
        for (const auto& [path, problem] : record.wal) {
            if (!is_read_after(records, record, path)) {
                known.try_emplace(path, DamagedWal{problem, record.start});
            }
        }
    }
    return known;
}

std::uint64_t verified_bytes(const std::vector<VerifyRecord>& records,
                             UnixSeconds since,
                             const std::vector<PackInfo>& packs)
{
    std::uint64_t bytes = 0;
    for (const PackInfo& pack : packs) {
        const bool is_read = std::ranges::any_of(records, [&](const VerifyRecord& record) {
            return record.start >= since && record.packs.contains(pack.name);
        });
        bytes += is_read ? pack.size : 0;
    }
    return bytes;
}

std::uint64_t next_share(const std::vector<VerifyRecord>& records, VerifyDepth depth)
{
    const auto last = std::find_if(records.rbegin(), records.rend(), [&](const VerifyRecord& one) {
        return one.set.empty() && one.depth == depth;
    });
    return last == records.rend() ? 0 : last->to;
}

std::vector<unsigned> useless_records(const std::vector<VerifyRecord>& records,
                                      const std::vector<std::string>& labels)
{
    const auto key_of = [](const auto& entry) -> const auto&
    {
        return entry.first;
    };
    std::set<VerifyDepth> cursors;
    std::vector<unsigned> useless;
    for (auto record = records.rbegin(); record != records.rend(); ++record) {
        const auto is_read_again = [&](const auto& object) {
            return is_read_after(records, *record, object);
        };
        const auto is_told = [&](const PackName& pack) {
            return !is_there(pack, labels) || is_read_again(pack);
        };
        const bool is_cursor = record->set.empty() && cursors.insert(record->depth).second;
        if (!is_cursor && std::ranges::all_of(record->packs, is_told) &&
            std::ranges::all_of(record->damage.places(), is_told, key_of) &&
            std::ranges::all_of(record->wal, is_read_again, key_of)) {
            useless.push_back(record->number);
        }
    }
    return useless;
}

void prune_verify_records(const Repository& repository,
                          std::string_view stanza,
                          const std::vector<std::string>& labels)
{
    const std::vector<VerifyRecord> records = read_verify_records(repository, stanza);
    std::vector<std::string> paths = replaced_records(repository, stanza, records);
    for (const unsigned number : useless_records(records, labels)) {
        paths.push_back(verify_path(stanza, number));
    }
    try {
        repository.storage().remove_all(paths);
    } catch (const Error& error) {
        log::warn("records of verify that are of no use are left: {}", error.what());
    }
}

} // namespace pgstrata::repository
