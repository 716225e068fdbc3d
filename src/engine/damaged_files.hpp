// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/change_detection.hpp"
#include "pgstrata/repository/damage.hpp"
#include "pgstrata/repository/file_pages.hpp"
#include "pgstrata/repository/manifest.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// Which files of a backup known damage hits. One thread.
class DamagedFiles : NonCopyable {
public:
    // `packs` is the manifest's table; all outlive the object.
    DamagedFiles(const repository::Repository& repository,
                 const std::string& stanza,
                 const std::vector<repository::PackInfo>& packs,
                 const repository::Damage& damage);
    // Whether any pack of the table is damaged at all.
    bool are_possible() const noexcept { return is_any_damaged_; }
    // The pages of the file that cannot be had, ascending; all that it has (one range to
    // UINT32_MAX) when it is not stored by pages or its maps cannot be read. Empty when it is
    // sound.
    std::vector<PageRange> find(const repository::ManifestFile& file);

private:
    bool hits(const repository::Extent& extent) const;
    void find_in_run(const repository::PageRun& run,
                     std::uint32_t page_size,
                     std::vector<PageRange>& found) const;
    std::vector<PageRange> find_pages(const repository::ManifestFile& file);

    const std::vector<repository::PackInfo>& packs_;
    const repository::Damage& damage_;
    repository::PackReader maps_;
    std::vector<char> is_damaged_; // parallel to `packs_`
    bool is_any_damaged_ = false;
};

} // namespace pgstrata::engine
