// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/keys.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/notes.hpp"
#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/storage/memory.hpp"

#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;

namespace {

constexpr auto kStanza = "demo";
constexpr auto kLabel = "20261121-020000F";

// Everything that is read from documents.
void read_as_everything(std::string_view text)
{
    test::survives([&] {
        const KeySlot slot = decode_key_slot(text, "keys/x.json");
        if (slot.derivation == Derivation::hkdf) {
            test::require(!open_key_slot(slot, "a passphrase", "id"));
        }
    });
    const auto storage = storage::make_memory_storage();
    const auto put = [&](const std::string& path) {
        storage::write_file(*storage, path, as_bytes(text), storage::WriteMode::replace);
    };
    const auto repository = Repository::open_or_create(*storage, {});
    put(cluster_path(kStanza, {15, 1}));
    put(summary_path(kStanza, kLabel));
    put(lease_path(kStanza, kLabel));
    put(note_path(kStanza, kLabel, 1));
    put(verify_path(kStanza, 1));
    test::survives([&] { list_clusters(*repository, kStanza); });
    test::survives([&] { list_backups(*repository, kStanza); });
    test::survives([&] { read_lease(*repository, kStanza, kLabel); });
    test::survives([&] { read_notes(*repository, kStanza, kLabel); });
    test::survives([&] { read_verify_records(*repository, kStanza); });
    put(std::string(kRepositoryFile));
    test::survives([&] { Repository::open(*storage, {}); });
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    log::configure({.console = log::Level::off});
    const std::string_view text = as_text(test::input_bytes(data, size));
    read_as_everything(text);
    // Behind the checksum, too.
    const auto document = nlohmann::json::parse(text, nullptr, false);
    if (document.is_object() && size < 4096) {
        read_as_everything(seal_document(document));
    }
    return 0;
}
