// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace pgstrata::test {

// A directory of its own for one test, removed with everything in it. PGSTRATA_KEEP=1 leaves it for
// a look.
class TemporaryDirectory {
public:
    TemporaryDirectory()
    {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "pgstrata-test-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory()
    {
        if (std::getenv("PGSTRATA_KEEP") == nullptr) {
            std::error_code ignored;
            std::filesystem::remove_all(path_, ignored);
        }
    }
    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

} // namespace pgstrata::test
