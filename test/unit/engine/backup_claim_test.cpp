// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_claim.hpp"
#include "support/hooked_storage.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/catalog.hpp"

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

constexpr auto kEarlierLabel = "20200101-020000F";
constexpr auto kLaterLabel = "20990101-020000F";

JournalHeader full_header()
{
    JournalHeader header;
    header.type = BackupType::full;
    header.archive_id = {15, 1};
    header.page_size = 8192;
    return header;
}

// Another host claims `label` in the moment in which a label is claimed through the storage, and
// gives it up when it has been looked for that often, if ever.
class Rival {
public:
    Rival(MemoryRepository& memory, std::string label, unsigned looks)
        : memory_(memory), label_(std::move(label)), looks_left_(looks),
          storage_(*memory.storage, [this](StorageCall call, std::string_view path) {
              if (call == StorageCall::create && path.ends_with("/lease") && !is_there_) {
                  claim();
              } else if (call == StorageCall::list && path == backup_path(kStanza) && is_there_ &&
                         looks_left_ != 0 && --looks_left_ == 0) {
                  memory_.storage->remove(lease_path(kStanza, label_));
              }
          })
    {
    }
    storage::Storage& storage() { return storage_; }

private:
    void claim()
    {
        is_there_ = true;
        memory_.repository->write_document(
            lease_path(kStanza, label_),
            {{"host", "elsewhere.example"},
             {"boot-id", "x"},
             {"pid", 1U},
             {"pid-started", 1U},
             {"renewed", static_cast<std::uint64_t>(now_seconds())}});
    }

    MemoryRepository& memory_;
    std::string label_;
    unsigned looks_left_; // 0: it stays
    bool is_there_ = false;
    HookedStorage storage_;
};

} // namespace

TEST_CASE("of two hosts that begin a backup at the same moment one yields",
          "[engine][backup][bug-46]")
{
    MemoryRepository memory;
    const bool can_resume = GENERATE(true, false);
    SECTION("to an earlier label, and to a later one that stays, being there before")
    {
        const std::string label = GENERATE(kEarlierLabel, kLaterLabel);
        CAPTURE(label);
        Rival rival(memory, label, 0);
        const auto repository = Repository::open(rival.storage(), {});
        CHECK_THROWS_MATCHES(BackupClaim(*repository, kStanza, full_header(), can_resume, 1),
                             Error,
                             HasCode(ErrorCode::lock_acquire));
        CHECK(list_labels(*memory, kStanza) == std::vector<std::string>{label});
    }
    SECTION("and the other goes on")
    {
        Rival rival(memory, kLaterLabel, 2);
        const auto repository = Repository::open(rival.storage(), {});
        const BackupClaim claim(*repository, kStanza, full_header(), can_resume, 1);
        CHECK(list_labels(*memory, kStanza) == std::vector<std::string>{claim.label()});
        CHECK_NOTHROW(claim.check());
    }
}
