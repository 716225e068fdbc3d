// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/listing.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"

#include <nlohmann/json.hpp>

#include <regex.h>

#include <algorithm>
#include <array>

namespace pgstrata::command {

namespace {

constexpr std::string_view kSelf = ".";

class Filter : NonCopyable {
public:
    explicit Filter(const std::string& expression) : is_set_(!expression.empty())
    {
        if (!is_set_) {
            return;
        }
        if (const int failure =
                ::regcomp(&compiled_, expression.c_str(), REG_EXTENDED | REG_NOSUB)) {
            std::array<char, 256> text{};
            ::regerror(failure, &compiled_, text.data(), text.size());
            raise(ErrorCode::format, "invalid filter '{}': {}", expression, text.data());
        }
    }
    ~Filter()
    {
        if (is_set_) {
            ::regfree(&compiled_);
        }
    }
    bool matches(const std::string& name) const
    {
        return !is_set_ || ::regexec(&compiled_, name.c_str(), 0, nullptr, 0) == 0;
    }

private:
    bool is_set_;
    regex_t compiled_{};
};

void add_below(const storage::Storage& storage,
               const ListingOptions& options,
               const std::string& prefix,
               std::vector<storage::EntryInfo>& entries)
{
    storage.list(join_path(options.path, prefix), [&](const storage::EntryInfo& entry) {
        entries.push_back(entry);
        entries.back().name = join_path(prefix, entry.name);
        if (options.recurse && entry.type == storage::EntryType::directory) {
            add_below(storage, options, join_path(prefix, entry.name), entries);
        }
    });
}

std::string_view type_name(storage::EntryType type)
{
    switch (type) {
    case storage::EntryType::file:
        return "file";
    case storage::EntryType::directory:
        return "path";
    case storage::EntryType::link:
        return "link";
    case storage::EntryType::special:
        break;
    }
    return "special";
}

} // namespace

std::vector<storage::EntryInfo> make_listing(const storage::Storage& storage,
                                             const ListingOptions& options)
{
    const Filter filter(options.filter);
    storage::EntryInfo self;
    self.type = storage::EntryType::directory;
    if (!options.path.empty()) {
        self = storage.info(options.path).value_or(self);
    }
    self.name = kSelf;
    std::vector<storage::EntryInfo> entries = {self};
    if (self.type == storage::EntryType::directory) {
        add_below(storage, options, "", entries);
    }
    std::erase_if(entries,
                  [&](const storage::EntryInfo& entry) { return !filter.matches(entry.name); });
    if (options.order == SortOrder::descending) {
        std::ranges::reverse(entries);
    }
    return entries;
}

std::string render_listing_text(const std::vector<storage::EntryInfo>& entries)
{
    std::string text;
    for (const storage::EntryInfo& entry : entries) {
        if (entry.name != kSelf || entry.type != storage::EntryType::directory) {
            text += entry.name + "\n";
        }
    }
    return text;
}

std::string render_listing_json(const std::vector<storage::EntryInfo>& entries)
{
    auto listing = nlohmann::ordered_json::object();
    for (const storage::EntryInfo& entry : entries) {
        nlohmann::ordered_json shown;
        if (entry.type == storage::EntryType::link) {
            shown["destination"] = entry.destination;
        }
        if (entry.type == storage::EntryType::file) {
            shown["size"] = entry.size;
            shown["time"] = entry.mtime;
        }
        shown["type"] = type_name(entry.type);
        listing[entry.name] = std::move(shown);
    }
    return listing.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace pgstrata::command
