// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/engine/restore_fixture.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HandMadeManifest;
using pgstrata::test::HasCode;
using Names = std::vector<std::string>;

namespace {

HandMadeManifest with_databases()
{
    HandMadeManifest made;
    made.manifest.databases = {{1, "template1", true},
                               {4, "template0", true},
                               {5, "postgres", false},
                               {16384, "shop", false},
                               {16385, "forum", false},
                               {16386, "my template", true}};
    return made;
}

RestoreLayout make_layout(const Names& include, const Names& exclude)
{
    LayoutOptions options;
    options.data_directory = "/data";
    options.db_include = include;
    options.db_exclude = exclude;
    return {options, with_databases().manifest};
}

} // namespace

TEST_CASE("databases are left out by name or oid, system databases only when they are named",
          "[restore_databases][bug-38]")
{
    struct Row {
        Names include;
        Names exclude;
        std::set<std::uint32_t> zeroed;
    };
    const auto row = GENERATE(values<Row>({
        {{}, {}, {}},
        {{"shop"}, {}, {16385, 16386}},
        {{"16384"}, {}, {16385, 16386}},
        {{"shop", "forum"}, {}, {16386}},
        {{"shop", "shop"}, {}, {16385, 16386}},
        {{}, {"shop"}, {16384}},
        {{}, {"16385", "my template"}, {16385, 16386}},
        {{"shop"}, {"forum"}, {16385, 16386}},
        {{}, {"postgres"}, {5}},
        {{}, {"1", "shop"}, {1, 16384}},
        {{"shop"}, {"postgres"}, {5, 16385, 16386}},
    }));
    const RestoreLayout layout = make_layout(row.include, row.exclude);
    CHECK(std::set<std::uint32_t>(layout.zeroed_databases().begin(),
                                  layout.zeroed_databases().end()) == row.zeroed);
    CHECK(layout.has_zeroed_databases() == !row.zeroed.empty());
}

TEST_CASE("databases that cannot be chosen are refused", "[restore_databases][bug-38]")
{
    struct Row {
        Names include;
        Names exclude;
        ErrorCode code;
    };
    const auto row = GENERATE(values<Row>({
        {{"nothing"}, {}, ErrorCode::db_missing},
        {{"99999"}, {}, ErrorCode::db_missing},
        {{""}, {}, ErrorCode::db_missing},
        {{"Shop"}, {}, ErrorCode::db_missing},
        {{}, {"nothing"}, ErrorCode::db_missing},
        {{"shop", "nothing"}, {}, ErrorCode::db_missing},
        {{"postgres"}, {}, ErrorCode::db_invalid},
        {{"template0"}, {}, ErrorCode::db_invalid},
        {{"1"}, {}, ErrorCode::db_invalid},
        {{"shop"}, {"shop"}, ErrorCode::db_invalid},
        {{"shop"}, {"16384"}, ErrorCode::db_invalid},
    }));
    CHECK_THROWS_MATCHES(make_layout(row.include, row.exclude), Error, HasCode(row.code));
}

TEST_CASE("a name goes before an oid that looks alike", "[restore_databases][bug-38]")
{
    HandMadeManifest made = with_databases();
    made.manifest.databases.push_back({16999, "16384", false});
    LayoutOptions options;
    options.data_directory = "/data";
    options.db_exclude = {"16384"};
    const RestoreLayout layout(options, made.manifest);
    CHECK(layout.zeroed_databases() == std::unordered_set<std::uint32_t>{16999});
}

TEST_CASE("what lies in a left-out database is zeroed, told by whole parts of its path",
          "[restore_databases][bug-5][bug-38]")
{
    struct Row {
        std::string path;
        bool is_zeroed;
    };
    const auto row = GENERATE(values<Row>({
        {"base/16384/1259", true},
        {"base/16384/1259_vm.1", true},
        {"base/16384/PG_VERSION", true},
        {"pg_tblspc/16400/PG_15_202209061/16384/24576", true},
        {"base/163840/1259", false},
        {"base/1638/1259", false},
        {"base/16385/16384", false},
        {"base/1/1259", false},
        {"global/16384", false},
        {"pg_tblspc/16384/PG_15_202209061/16385/24576", false},
        {"pg_tblspc/16400/base/16384/24576", false},
        {"my/base/16384/1259", false},
        {"pg_xact/0000", false},
        {"PG_VERSION", false},
    }));
    CAPTURE(row.path);
    CHECK(make_layout({}, {"shop"}).is_zeroed(row.path) == row.is_zeroed);
    CHECK_FALSE(make_layout({}, {}).is_zeroed(row.path));
}
