// SPDX-License-Identifier: PostgreSQL
#include "engine/place_plan.hpp"
#include "unit/engine/restore_fixture.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <set>
#include <string>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HandMadeManifest;
using repository::ContentKind;

namespace {

// A plan for so many small files, and paged ones of so many parts each.
struct Planned {
    Planned(unsigned small, const std::vector<unsigned>& large)
    {
        for (unsigned i = 0; i < small; ++i) {
            add(fmt::format("base/5/{}", 100'000 + i), 8192);
        }
        for (std::size_t i = 0; i < large.size(); ++i) {
            add(fmt::format("base/5/{}", 900'000 + i), large[i] * kPlacePartSize);
        }
        const RestoreLayout layout({.data_directory = "/target"}, source.manifest);
        plan = plan_placing(source.manifest, layout, {});
    }
    void add(std::string path, std::uint64_t size)
    {
        auto& file = source.add_file(std::move(path), size);
        file.content = ContentKind::paged;
    }
    // A letter a unit: s is a run of small files, a the first large one, and so on.
    std::string order() const
    {
        std::map<std::uint32_t, char> names;
        std::string text;
        for (const PlaceUnit& unit : plan.units) {
            const auto name = static_cast<char>('a' + names.size());
            text += unit.is_large ? names.try_emplace(unit.large_file, name).first->second : 's';
        }
        return text;
    }

    HandMadeManifest source;
    PlacePlan plan;
};

} // namespace

TEST_CASE("runs of small files lie evenly among the parts of large ones", "[place]")
{
    CHECK(Planned(0, {1, 3}).order() == "aaab");
    CHECK(Planned(10, {}).order() == "s");
    CHECK(Planned(600, {}).order() == "sss");
    CHECK(Planned(600, {5, 4}).order() == "saaasaabsbbb");
    CHECK(Planned(1500, {2}).order() == "sasssass");
}

TEST_CASE("every file is in a plan once", "[place]")
{
    const Planned planned(700, {3, 2});
    std::set<std::string> small;
    std::set<std::pair<std::uint32_t, std::uint32_t>> parts;
    for (const PlaceUnit& unit : planned.plan.units) {
        if (unit.is_large) {
            CHECK(parts.emplace(unit.large_file, unit.part).second);
        }
        for (std::uint32_t i = unit.begin; i < unit.end; ++i) {
            const auto& file = planned.source.manifest.files[planned.plan.small[i]];
            CHECK(small.insert(file.path).second);
        }
    }
    CHECK(small.size() == 700);
    CHECK(parts.size() == 5);
}
