// SPDX-License-Identifier: PostgreSQL
#include "command/output.hpp"
#include "command/repository_path.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/listing.hpp"
#include "pgstrata/command/repositories.hpp"

namespace pgstrata::command {

namespace {

SortOrder sort_order(const std::string& name)
{
    if (name == "none") {
        return SortOrder::none;
    }
    return name == "desc" ? SortOrder::descending : SortOrder::ascending;
}

} // namespace

int run_repo_ls(const config::Config& config)
{
    const unsigned index = single_repository(config);
    const auto storage = open_storage(config, index);
    ListingOptions options;
    if (!config.parameters().empty()) {
        options.path =
            repository_path(config.parameters().front(), config.text("repo-path", index));
    }
    options.filter = config.text("filter");
    options.recurse = config.flag("recurse");
    options.order = sort_order(config.text("sort"));
    const auto entries = make_listing(*storage, options);
    print(config.text("output") == "json" ? render_listing_json(entries)
                                          : render_listing_text(entries));
    return 0;
}

} // namespace pgstrata::command
