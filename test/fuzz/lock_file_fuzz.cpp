// SPDX-License-Identifier: PostgreSQL
#include "engine/lock_file.hpp"
#include "fuzz/harness.hpp"
#include "support/temporary_directory.hpp"

#include <fstream>

using namespace pgstrata;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static const test::TemporaryDirectory directory;
    static const std::string path = directory / "demo-backup-1.lock";
    static engine::LockFile held(path);
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        << as_text(test::input_bytes(data, size));
    test::survives([] {
        const auto status = engine::inspect_lock_file(path, engine::StaleFile::keep);
        test::require(status && status->pid >= 0);
    });
    return 0;
}
