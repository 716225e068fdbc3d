// SPDX-License-Identifier: PostgreSQL
#include "support/data_directory_comparison.hpp"

#include "support/cluster.hpp"

#include <algorithm>
#include <filesystem>
#include <map>

namespace pgstrata::test {

namespace {

namespace fs = std::filesystem;

bool is_ignored(const std::string& name, const std::vector<std::string>& ignored)
{
    return std::any_of(ignored.begin(), ignored.end(), [&](const std::string& entry) {
        return entry.back() == '/' ? name.starts_with(entry) : name == entry;
    });
}

// Made anew by the server at any time.
bool is_transient(const std::string& name)
{
    return name.ends_with("/pg_internal.init") || name.find("pgsql_tmp") != std::string::npos;
}

std::map<std::string, fs::file_status> entries(const std::string& root,
                                               const std::vector<std::string>& ignored)
{
    std::map<std::string, fs::file_status> result;
    for (const auto& entry :
         fs::recursive_directory_iterator(root, fs::directory_options::follow_directory_symlink)) {
        const auto name = fs::path(entry.path()).lexically_relative(root).string();
        if (!is_ignored(name, ignored) && !is_transient(name)) {
            result.emplace(name, entry.status());
        }
    }
    return result;
}

void compare_files(const std::string& left,
                   const std::string& right,
                   const std::string& name,
                   const ComparisonOptions& options,
                   std::vector<std::string>& differences)
{
    const auto a = read_file(left + "/" + name);
    const auto b = read_file(right + "/" + name);
    if (a.size() != b.size()) {
        differences.push_back(name + " has " + std::to_string(a.size()) + " and " +
                              std::to_string(b.size()) + " bytes");
    }
    for (std::size_t at = 0; at < std::min(a.size(), b.size()); at += kServerPage) {
        const auto on_left = std::string_view(a).substr(at, kServerPage);
        const auto on_right = std::string_view(b).substr(at, kServerPage);
        if (on_left != on_right &&
            (!options.is_same_page || !options.is_same_page(name, on_left, on_right))) {
            differences.push_back(name + " page " + std::to_string(at / kServerPage) + " differs");
        }
    }
}

} // namespace

std::vector<std::string> compare_data_directories(const std::string& left,
                                                  const std::string& right,
                                                  const ComparisonOptions& options)
{
    const auto on_left = entries(left, options.ignored);
    const auto on_right = entries(right, options.ignored);
    std::vector<std::string> differences;
    for (const auto& [name, status] : on_right) {
        if (!on_left.contains(name)) {
            differences.push_back(name + " is missing on the left");
        }
    }
    for (const auto& [name, status] : on_left) {
        const auto other = on_right.find(name);
        if (other == on_right.end()) {
            differences.push_back(name + " is missing on the right");
        } else if (status.type() != other->second.type() ||
                   status.permissions() != other->second.permissions()) {
            differences.push_back(name + " has another type or mode");
        } else if (fs::is_regular_file(status)) {
            compare_files(left, right, name, options, differences);
        }
        if (differences.size() >= options.limit) {
            break;
        }
    }
    return differences;
}

} // namespace pgstrata::test
