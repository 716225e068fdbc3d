// SPDX-License-Identifier: PostgreSQL
#include "engine/page_placer.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

using repository::FilePages;
using repository::ManifestFile;
using repository::PageRun;

// What is written at once, or read at once to be compared.
constexpr std::uint32_t kWindow = 1U << 20U;

std::uint32_t end_of(const PageRun& run, std::uint32_t page_size)
{
    return run.first_page + run.where.size / page_size;
}

// Runs have no gaps, so one of them has the page.
const PageRun& run_with(const FilePages& pages, std::uint32_t page)
{
    return *std::prev(std::ranges::upper_bound(pages.runs(), page, {}, &PageRun::first_page));
}

} // namespace

struct PagePlacer::Job {
    const TargetFile& target;
    const std::string& path;
    const FilePages& pages;
    PlacedBytes placed{};

    std::uint64_t offset(std::uint32_t page) const
    {
        return std::uint64_t{page} * pages.page_size();
    }
    std::uint32_t bytes(std::uint32_t count) const { return count * pages.page_size(); }
};

PagePlacer::PagePlacer(const repository::Repository& repository,
                       const repository::Manifest& manifest,
                       repository::PackReader& packs)
    : repository_(repository), manifest_(manifest), packs_(packs)
{
}

FilePages PagePlacer::find(const ManifestFile& file)
{
    const std::string what = fmt::format("the page map of '{}'", file.path);
    const auto maps = repository::read_page_maps(packs_, manifest_.packs, file.extents, what);
    FilePages pages(maps, what);
    if (std::uint64_t{pages.count()} * pages.page_size() != file.size) {
        raise(ErrorCode::format, "{} does not fit the file", what);
    }
    return pages;
}

// Frames of a full backup lie one after another, and all of them will be read. Those of later
// backups between them are of other packs, and are spoken of when their turn comes.
std::uint32_t PagePlacer::announce(const FilePages& pages, std::uint32_t begin, std::uint32_t end)
{
    const PageRun* run = &run_with(pages, begin);
    const PageRun* const runs_end = pages.runs().data() + pages.runs().size();
    const auto is_over = [&] { return run == runs_end || run->first_page >= end; };
    while (!is_over() && packs_.holds(run->where)) {
        ++run;
    }
    if (is_over()) {
        return end;
    }
    const repository::Extent& first = run->where;
    const repository::Extent* last = &first;
    const std::uint64_t read_over = packs_.read_over(first.pack);
    std::uint32_t unsaid = end;
    for (++run; !is_over(); ++run) {
        const repository::Extent& next = run->where;
        if (next.pack != first.pack) {
            unsaid = std::min(unsaid, run->first_page);
        } else if (next.offset != last->offset) {
            const std::uint64_t last_end = last->offset + last->length;
            if (next.offset < last_end || next.offset - last_end > read_over) {
                unsaid = std::min(unsaid, run->first_page);
                break;
            }
            last = &next;
        }
    }
    packs_.expect(first, *last);
    return unsaid;
}

PlacedBytes PagePlacer::place(const TargetFile& target,
                              const std::string& path,
                              const FilePages& pages,
                              const PageStretch& stretch)
{
    Job job{.target = target, .path = path, .pages = pages};
    const std::uint32_t window = kWindow / pages.page_size();
    // A small file shares its frame with its neighbours, which are read next: the source sees that.
    const bool is_short = stretch.end - stretch.begin <= window;
    std::uint32_t announced = is_short ? stretch.end : stretch.present;
    for (std::uint32_t page = stretch.begin; page < stretch.end;) {
        const bool is_present = page < stretch.present;
        const std::uint32_t limit =
            is_present ? std::min(stretch.present, stretch.end) : stretch.end;
        // Windows begin where frames of a full backup do.
        const std::uint32_t end = page + std::min(limit - page, window - page % window);
        if (is_present) {
            refresh(job, page, end);
        } else {
            if (page >= announced) {
                announced = announce(pages, page, stretch.end);
            }
            write(job, page, end);
        }
        page = end;
    }
    const std::uint64_t all = job.offset(stretch.end) - job.offset(stretch.begin);
    job.placed.kept = all - job.placed.fetched;
    return job.placed;
}

// Straight from the frame when that has all of it.
void PagePlacer::write(Job& job, std::uint32_t begin, std::uint32_t end)
{
    const PageRun& run = run_with(job.pages, begin);
    job.placed.fetched += job.bytes(end - begin);
    if (end <= end_of(run, job.pages.page_size())) {
        job.target.write(job.offset(begin), read_checked(job, run, begin, end));
        return;
    }
    window_.resize(job.bytes(end - begin));
    fetch(job, begin, end, window_.span());
    job.target.write(job.offset(begin), window_);
}

// Brings up to date what is on the disk: pages that differ take their places in the window, and
// each run of them is written.
void PagePlacer::refresh(Job& job, std::uint32_t begin, std::uint32_t end)
{
    window_.resize(job.bytes(end - begin));
    const std::size_t size = job.target.read(job.offset(begin), window_.span());
    job.placed.compared += size;
    const auto bytes_of = [&](std::uint32_t first, std::uint32_t last) {
        return window_.span().subspan(job.bytes(first - begin), job.bytes(last - first));
    };
    const auto is_right = [&](std::uint32_t page) {
        return job.bytes(page + 1 - begin) <= size &&
               is_current(job, page, bytes_of(page, page + 1));
    };
    for (std::uint32_t page = begin; page < end;) {
        if (is_right(page)) {
            ++page;
            continue;
        }
        const std::uint32_t first = page++;
        while (page < end && !is_right(page)) {
            ++page;
        }
        const MutableBytes bytes = bytes_of(first, page);
        fetch(job, first, page, bytes);
        job.target.write(job.offset(first), bytes);
        job.placed.fetched += bytes.size();
    }
}

void PagePlacer::fetch(const Job& job, std::uint32_t begin, std::uint32_t end, MutableBytes out)
{
    for (std::uint32_t page = begin; page < end;) {
        const PageRun& run = run_with(job.pages, page);
        const std::uint32_t stop = std::min(end, end_of(run, job.pages.page_size()));
        std::ranges::copy(read_checked(job, run, page, stop),
                          out.begin() + job.bytes(page - begin));
        page = stop;
    }
}

// Pages of one run, valid until the next call.
ByteView
PagePlacer::read_checked(const Job& job, const PageRun& run, std::uint32_t begin, std::uint32_t end)
{
    repository::Extent where = run.where;
    where.position += job.bytes(begin - run.first_page);
    where.size = job.bytes(end - begin);
    const ByteView bytes = packs_.read(where);
    for (std::uint32_t page = begin; page < end; ++page) {
        const ByteView one = bytes.subspan(job.bytes(page - begin), job.pages.page_size());
        if (!is_current(job, page, one)) {
            raise(ErrorCode::checksum,
                  "page {} of file '{}' in the repository is not the page that was backed up",
                  page,
                  job.path);
        }
    }
    return bytes;
}

bool PagePlacer::is_current(const Job& job, std::uint32_t page, ByteView bytes) const
{
    return codec::page_hash(bytes, repository_.page_hash_key()) == job.pages.hashes()[page];
}

} // namespace pgstrata::engine
