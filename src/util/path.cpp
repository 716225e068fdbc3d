// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/path.hpp"

#include <vector>

namespace pgstrata {

std::string join_path(std::string_view left, std::string_view right)
{
    if (left.empty() || right.empty()) {
        return std::string(left.empty() ? right : left);
    }
    std::string path(left);
    if (path.back() != '/') {
        path += '/';
    }
    return path.append(right);
}

std::string parent_path(std::string_view path)
{
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) {
        return {};
    }
    return std::string(slash == 0 ? path.substr(0, 1) : path.substr(0, slash));
}

std::string_view file_name(std::string_view path) noexcept
{
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_safe_relative_path(std::string_view path) noexcept
{
    if (path.empty() || path.find('\0') != std::string_view::npos) {
        return false;
    }
    while (true) {
        const auto slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        if (part.empty() || part == "." || part == "..") {
            return false;
        }
        if (slash == std::string_view::npos) {
            return true;
        }
        path.remove_prefix(slash + 1);
    }
}

bool is_within(std::string_view path, std::string_view directory) noexcept
{
    if (directory == "/") {
        return path.starts_with('/');
    }
    return path.starts_with(directory) &&
           (path.size() == directory.size() || path[directory.size()] == '/');
}

std::string normal_path(std::string_view absolute)
{
    std::vector<std::string_view> parts;
    while (!absolute.empty()) {
        const auto slash = absolute.find('/');
        const std::string_view part = absolute.substr(0, slash);
        if (part == "..") {
            if (!parts.empty()) {
                parts.pop_back();
            }
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
        absolute.remove_prefix(slash == std::string_view::npos ? absolute.size() : slash + 1);
    }
    std::string path;
    for (const std::string_view part : parts) {
        path.append("/").append(part);
    }
    return path.empty() ? "/" : path;
}

} // namespace pgstrata
