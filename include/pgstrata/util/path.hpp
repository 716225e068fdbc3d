// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <string>
#include <string_view>

namespace pgstrata {

// "a" and "b" give "a/b"; an empty side gives the other.
std::string join_path(std::string_view left, std::string_view right);
// The part before the last slash ("" when there is none, "/" for "/a").
std::string parent_path(std::string_view path);
// The part after the last slash.
std::string_view file_name(std::string_view path) noexcept;

// True for a relative path that cannot leave its root: not empty, no empty, "." or ".." part, no
// NUL, no leading or trailing slash. Everything read from a repository is tested with it.
bool is_safe_relative_path(std::string_view path) noexcept;

// Whether `path` is `directory` itself or lies below it; both absolute and normal.
bool is_within(std::string_view path, std::string_view directory) noexcept;

// An absolute path without ".", "..", double or trailing slashes; links are not followed.
std::string normal_path(std::string_view absolute);

} // namespace pgstrata
