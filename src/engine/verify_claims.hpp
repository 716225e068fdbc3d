// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/verify.hpp"
#include "pgstrata/repository/damage.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/repository/page_map.hpp"

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

namespace pgstrata::engine {

// A piece of a file that is stored whole. Its place is in the pack that has the list.
struct WholePiece {
    repository::Extent where;
    std::uint32_t file = 0; // position in VerifyClaims::whole
};

struct WholeFile {
    codec::Digest128 digest{};
    std::uint32_t pieces = 0;
};

// A file whose pieces do not follow one another in one pack.
struct ScatteredFile {
    codec::Digest128 digest{};
    std::vector<repository::Extent> extents;
};

// What manifests claim of one pack.
struct PackClaims {
    std::vector<WholePiece> pieces;
    // Must be there, but are not compared where they are met: page maps and pieces of scattered
    // files; at quick depth all that manifests name, some of it more than once.
    std::vector<repository::Extent> places;
    std::vector<std::uint32_t> paged; // positions in VerifyClaims::maps: pages in the pack
};

// What all files of the backups claim of the packs, each claim once however many backups share it.
// Packs are positions in the table.
struct VerifyClaims {
    std::vector<repository::PackInfo> packs; // ascending by name
    std::vector<PackClaims> of_pack;         // parallel to `packs`
    std::vector<WholeFile> whole;
    std::vector<ScatteredFile> scattered;
    std::vector<std::vector<repository::Extent>> maps; // the extents of each page map
};

// Collects the claims. At full depth maps are read and decoded here, and the pages of each file are
// followed through them; what cannot be followed is damage.
class ClaimCollector : NonCopyable {
public:
    // `packs` are those of all backups, ascending by name. The repository outlives the collector.
    ClaimCollector(const repository::Repository& repository,
                   const VerifyOptions& options,
                   repository::VerifyDepth depth,
                   std::vector<repository::PackInfo> packs);
    // The files of one manifest to the end; throws what its reader throws. Returns how many.
    std::uint64_t add(repository::ManifestReader& manifest, const std::string& label);

    VerifyClaims& claims() noexcept { return claims_; }
    repository::Damage& damage() noexcept { return damage_; }
    // Packs that cannot be read at the moment, as a whole.
    repository::Damage& unreadable() noexcept { return unreadable_; }

private:
    struct PagedFile {
        std::string path;
        std::uint64_t size = 0;
        std::vector<repository::Extent> extents;
    };
    bool is_new(const repository::ManifestFile& file);
    void add_whole(const repository::ManifestFile& file);
    void add_places(const std::vector<repository::Extent>& extents);
    void follow(const std::vector<PagedFile>& files, const std::string& label);
    void follow_one(repository::PackReader& reader, const PagedFile& file, const std::string& what);
    void add_maps(const PagedFile& file, const std::vector<repository::PageMap>& maps);
    void blame(repository::PackReader& reader, const PagedFile& file, const Error& reason);

    const repository::Repository& repository_;
    std::string stanza_;
    std::size_t workers_;
    repository::VerifyDepth depth_;
    VerifyClaims claims_;
    std::unordered_set<std::uint64_t> known_; // hashes of what was collected already
    std::mutex claims_mutex_;                 // guards all above while maps are followed
    repository::Damage damage_;
    repository::Damage unreadable_;
};

// The positions of a manifest's extents in another table, which has all of the manifest's packs.
std::vector<std::uint32_t> place_packs(const std::vector<repository::PackInfo>& from,
                                       const std::vector<repository::PackInfo>& to);

} // namespace pgstrata::engine
