// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/repository/counting_storage.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/journal.hpp"

namespace pgstrata::test {

inline codec::FrameBody body_of(std::string_view text)
{
    return {as_bytes(text), static_cast<std::uint32_t>(text.size()), codec::FrameCodec::none};
}

inline repository::JournalHeader sample_journal_header()
{
    return {repository::BackupType::incr, kLabel, {15, 2}, 8192};
}

// Writes a frame and says it is a file.
inline repository::StoredFile stored_file(repository::PackWriter& writer, std::string_view text)
{
    return {text.size(), codec::xxh3_128(as_bytes(text)), {writer.append(body_of(text))}};
}

// Writes a frame of pages and gives the map of them.
inline repository::PageMap stored_pages(repository::PackWriter& writer,
                                        std::vector<std::uint32_t> numbers,
                                        std::uint32_t file_pages)
{
    repository::PageMap map;
    map.is_dense = false;
    map.file_pages = file_pages;
    map.numbers = std::move(numbers);
    map.extents = {writer.append(body_of(std::string(map.numbers.size() * map.page_size, 'p')))};
    map.hashes.assign(map.numbers.size(), 0x5A5A);
    return map;
}

// Keeps the log quiet: what is passed over is told to the user by a warning.
struct QuietLog : NonCopyable {
    QuietLog() { log::configure({.console = log::Level::off}); }
    ~QuietLog() { log::configure({}); }
};

// A backup that will not be finished.
struct Try {
    explicit Try(const repository::CipherSetting& setting = {})
        : memory(setting), set(*memory.repository, kStanza, kLabel, 1U << 20U)
    {
    }
    void finish(repository::PackWriter& writer, repository::JournalWriter& journal) const
    {
        if (const auto number = writer.finish()) {
            journal.write(*memory.repository, kStanza, kLabel, *number);
        }
    }

    QuietLog quiet;
    MemoryRepository memory;
    mutable repository::PackSet set;
};

} // namespace pgstrata::test
