// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstdint>
#include <optional>
#include <string>

// Who the integration tests run as, and what only root can prepare for them. PostgreSQL refuses
// root, so a test program started by root makes its small file system and goes on as user postgres.

namespace pgstrata::test {

// Tells, in a way that scripts/test.sh repeats at its end, that something could not be tested.
void report_skip(const std::string& what);

// A file system of 64 MiB that the test may fill. One user at a time; emptied at both ends of its
// life.
class SmallDisk {
public:
    // Nothing, after a report_skip(), where none could be mounted.
    static std::optional<SmallDisk> acquire();

    SmallDisk(SmallDisk&& other) noexcept;
    SmallDisk& operator=(SmallDisk&&) = delete;
    ~SmallDisk();

    const std::string& path() const { return path_; }
    std::uint64_t free_bytes() const;
    // Fills it up until `bytes` are free.
    void fill_until(std::uint64_t bytes) const;
    // Takes the filling away again.
    void release() const;

private:
    explicit SmallDisk(std::string path);
    void clear() const;

    std::string path_;
};

} // namespace pgstrata::test
