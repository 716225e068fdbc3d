// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/temporary_directory.hpp"

#include "pgstrata/config/config.hpp"
#include "pgstrata/util/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace pgstrata::test {

using Words = std::vector<std::string>;

// A host with configuration files and an environment of its own.
class ConfigHost {
public:
    ConfigHost()
    {
        environment.executable = "/usr/bin/pgstrata";
        environment.configuration_root = root.path();
    }

    // Writes a file at `path` below the root and returns where it is.
    std::string write(const std::string& path, const std::string& text) const
    {
        const std::string whole = root.path() + path;
        std::filesystem::create_directories(std::filesystem::path(whole).parent_path());
        std::ofstream(whole) << text;
        return whole;
    }
    void write_config(const std::string& text) const { write("/etc/pgstrata/pgstrata.conf", text); }

    config::Config load(Words arguments)
    {
        environment.arguments = std::move(arguments);
        return config::load_config(environment);
    }

    // The error that loading ends with.
    Error fail(Words arguments)
    {
        try {
            load(std::move(arguments));
        } catch (const Error& error) {
            return error;
        }
        FAIL("loading succeeded");
        return Error(ErrorCode::assertion, "unreachable");
    }

    TemporaryDirectory root;
    config::Environment environment;
};

inline Words backup_with(Words options)
{
    options.insert(options.begin(),
                   {"backup", "--stanza=main", "--pg1-path=/pg", "--repo1-retention-full=2"});
    return options;
}

inline bool any_contains(const std::vector<std::string>& texts, const std::string& part)
{
    return std::any_of(texts.begin(), texts.end(), [&](const std::string& text) {
        return text.find(part) != std::string::npos;
    });
}

} // namespace pgstrata::test
