// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/damage.hpp"
#include "pgstrata/util/time.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::repository {

// What a run of verify proves of packs and WAL files: that their stored bytes are unchanged, or
// also that what they hold is what manifests, page maps and names say.
enum class VerifyDepth : std::uint8_t { quick, full };
std::string_view depth_name(VerifyDepth depth) noexcept; // "quick"
std::optional<VerifyDepth> parse_depth(std::string_view name) noexcept;

// backup/<stanza>/verify/<nnnn>.json: what one run of verify read and found. Written once.
struct VerifyRecord {
    unsigned number = 0; // by its name
    UnixSeconds start = 0;
    UnixSeconds stop = 0;
    std::string host;
    std::string set; // label of the only backup that was verified; empty for all
    // The share of objects that was read, by the hash of their names: from `from` to before `to`,
    // over the end; all when both are the same.
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    VerifyDepth depth = VerifyDepth::full;
    // Packs that were read with all that any backup refers to in them; none for a set, and none of
    // a quick run, which proves nothing of what is in them.
    std::set<PackName> packs;
    std::uint64_t pack_bytes = 0; // that were read
    std::uint64_t segments = 0;   // WAL files that were read
    std::uint64_t findings = 0;
    Damage damage; // in packs; of a quick run what no record before has
    // WAL files that were found damaged, by the path of the object, and what is wrong with them; of
    // very many only the first; of a quick run as with packs.
    std::map<std::string, std::string> wal;
};

// Whether a run that reads the share from `from` to before `to` reads the object with that path.
bool is_in_share(std::uint64_t from, std::uint64_t to, std::string_view path) noexcept;

// Durable, and the newest.
void write_verify_record(const Repository& repository,
                         std::string_view stanza,
                         const VerifyRecord& record);
// By number, which is the order in which the runs ended. One that cannot be read is passed over
// with a WARN. Throws when the store does not answer.
std::vector<VerifyRecord> read_verify_records(const Repository& repository,
                                              std::string_view stanza);

// What is damaged as far as the records tell: a full run that read a pack says all there is to say
// about it, once it began after the end of the one that found damage. What runs at the same time
// found is all known. Packs of labels that are not among `labels` (ascending) are gone and do not
// count.
Damage known_damage(const std::vector<VerifyRecord>& records,
                    const std::vector<std::string>& labels);
// A WAL file in an archive that an earlier run found damaged.
struct DamagedWal {
    std::string problem;
    UnixSeconds since = 0; // when that run began
};
// The same of WAL files, by path: a full run over all backups whose share has the path has read it,
// if it is there.
std::map<std::string, DamagedWal> known_damaged_wal(const std::vector<VerifyRecord>& records);
// Bytes of `packs` (ascending by name) that runs since `since` have read.
std::uint64_t verified_bytes(const std::vector<VerifyRecord>& records,
                             UnixSeconds since,
                             const std::vector<PackInfo>& packs);
// Where the next share of a depth begins: where that of its last run over all backups ended. Shares
// go round by themselves, so that runs of both depths in turn leave nothing out.
std::uint64_t next_share(const std::vector<VerifyRecord>& records, VerifyDepth depth);
// Numbers of records that say nothing any more: what they read was read again since or is gone. The
// newest run over all backups of each depth is never among them.
std::vector<unsigned> useless_records(const std::vector<VerifyRecord>& records,
                                      const std::vector<std::string>& labels);
// Removes those, and those that cannot be read once a run over everything has begun after they were
// stored; a failure is a WARN.
void prune_verify_records(const Repository& repository,
                          std::string_view stanza,
                          const std::vector<std::string>& labels);

} // namespace pgstrata::repository
