// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/file_pages.hpp"

#include <map>
#include <random>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

// A file lives as a plain string of bytes; backups of it are made by comparing strings, and what
// their maps lead to is held against the string.
namespace {

constexpr std::uint32_t kRandomPage = 1024;

class Model {
public:
    explicit Model(unsigned seed) : random_(seed) {}

    // Some writes, truncations and growths, with page borders only.
    void change()
    {
        for (unsigned steps = number(0, 4); steps > 0; --steps) {
            const std::uint32_t pages = count(file_);
            switch (number(0, 3)) {
            case 0:
                file_.resize(number(0, pages) * kRandomPage);
                break;
            case 1:
                file_ += some_pages(number(1, 6));
                break;
            default:
                if (pages != 0) {
                    const std::uint32_t first = number(0, pages - 1);
                    const std::uint32_t some = number(1, std::min(4U, pages - first));
                    file_.replace(first * kRandomPage, some * kRandomPage, some_pages(some));
                }
            }
        }
    }

    void back_up()
    {
        const bool is_dense = maps_.empty() || number(0, 9) == 0;
        PageMap map;
        map.page_size = kRandomPage;
        map.is_dense = is_dense;
        map.file_pages = count(file_);
        std::vector<std::uint32_t> numbers;
        for (std::uint32_t i = 0; i < map.file_pages; ++i) {
            if (is_dense || i >= count(saved_) || page(file_, i) != page(saved_, i) ||
                number(0, 19) == 0) {
                numbers.push_back(i);
                map.hashes.push_back(hash(page(file_, i)));
            }
        }
        store(map, numbers);
        if (!is_dense) {
            map.numbers = numbers;
        }
        maps_.insert(maps_.begin(), std::move(map));
        saved_ = file_;
    }

    void check() const
    {
        const FilePages pages(maps_, "a file");
        REQUIRE(pages.page_size() == kRandomPage);
        REQUIRE(pages.count() == count(file_));
        std::string bytes;
        for (const PageRun& run : pages.runs()) {
            const Extent& at = run.where;
            REQUIRE(run.first_page * kRandomPage == bytes.size());
            const std::string& frame = frames_.at({at.pack, at.offset});
            REQUIRE(at.position + at.size <= frame.size());
            bytes += frame.substr(at.position, at.size);
        }
        REQUIRE(bytes == file_);
        for (std::uint32_t i = 0; i < pages.count(); ++i) {
            REQUIRE(pages.hashes()[i] == hash(page(file_, i)));
        }
    }

private:
    static std::uint32_t count(const std::string& bytes)
    {
        return static_cast<std::uint32_t>(bytes.size() / kRandomPage);
    }
    static std::string_view page(const std::string& bytes, std::uint32_t index)
    {
        return std::string_view(bytes).substr(index * kRandomPage, kRandomPage);
    }
    static std::uint64_t hash(std::string_view text) { return std::hash<std::string_view>()(text); }

    unsigned number(unsigned low, unsigned high)
    {
        return std::uniform_int_distribution<unsigned>(low, high)(random_);
    }

    // Few different ones, so that pages often become what they were.
    std::string some_pages(std::uint32_t pages)
    {
        std::string bytes;
        for (std::uint32_t i = 0; i < pages; ++i) {
            bytes.append(kRandomPage, static_cast<char>('a' + number(0, 9)));
        }
        return bytes;
    }

    // Puts the pages into extents of a few pages, of frames that others share.
    void store(PageMap& map, const std::vector<std::uint32_t>& numbers)
    {
        for (std::size_t done = 0; done < numbers.size();) {
            const std::size_t some = std::min<std::size_t>(number(1, 5), numbers.size() - done);
            if (frames_.empty() || number(0, 2) == 0) {
                offset_ += 64;
                frames_[{number(0, 2), offset_}] = some_pages(number(0, 2));
            }
            auto& [place, frame] = *std::next(frames_.begin(), number(0, size(frames_) - 1));
            map.extents.push_back({place.first,
                                   place.second,
                                   7,
                                   static_cast<std::uint32_t>(frame.size()),
                                   static_cast<std::uint32_t>(some * kRandomPage)});
            for (const std::size_t end = done + some; done < end; ++done) {
                frame += page(file_, numbers[done]);
            }
        }
    }

    template <typename Container>
    static unsigned size(const Container& container)
    {
        return static_cast<unsigned>(container.size());
    }

    std::mt19937 random_;
    std::string file_;
    std::string saved_; // as the last backup has it
    std::vector<PageMap> maps_;
    std::map<std::pair<std::uint32_t, std::uint64_t>, std::string> frames_;
    std::uint64_t offset_ = 0;
};

} // namespace

TEST_CASE("whatever happened to a file, its maps lead to its bytes",
          "[repository][file_pages][bug-10][bug-11]")
{
    for (unsigned seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        Model model(seed);
        for (int backup = 0; backup < 12; ++backup) {
            model.change();
            model.back_up();
            model.check();
        }
    }
}
