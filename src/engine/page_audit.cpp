// SPDX-License-Identifier: PostgreSQL
#include "engine/page_collector.hpp"

#include "pgstrata/util/file_status.hpp"

#include <algorithm>
#include <random>

namespace pgstrata::engine {

namespace {

constexpr std::uint64_t kAuditInterval = 1024; // pages

} // namespace

PageAudit::PageAudit(const CopyOptions& options, const PageCollector& collector)
    : options_(options), collector_(collector), page_(options.page_size),
      seed_(std::random_device()()), until_next_(static_cast<std::uint32_t>(seed_ % kAuditInterval))
{
}

std::uint64_t PageAudit::audit(const PageFile& file,
                               PageRange range,
                               const std::vector<PageRange>& read,
                               const repository::FilePages& prior)
{
    std::uint64_t bytes = 0;
    std::uint32_t at = range.begin;
    auto next_read = read.begin();
    while (range.end - at > until_next_) {
        const std::uint32_t page = at + until_next_;
        at = page + 1;
        seed_ = seed_ * 6364136223846793005U + 1442695040888963407U;
        until_next_ = static_cast<std::uint32_t>((seed_ >> 33U) % (2 * kAuditInterval));
        next_read =
            std::find_if(next_read, read.end(), [&](const PageRange& r) { return r.end > page; });
        if (next_read != read.end() && next_read->begin <= page) {
            continue;
        }
        bytes += options_.page_size;
        if (!is_as_before(file, page, prior.hashes().at(page))) {
            throw Error(
                ErrorCode::checksum,
                fmt::format("page {} of '{}' has changed but no WAL summary says so: the summaries "
                            "of this server cannot be relied on",
                            page,
                            file.path),
                "take the backup with --change-tracking=scan, which reads every file that was "
                "touched, and find out who writes into the data directory");
        }
    }
    until_next_ -= range.end - at;
    return bytes;
}

bool PageAudit::is_as_before(const PageFile& file, std::uint32_t page, std::uint64_t hash)
{
    collector_.reader().read(file, page, page_.span());
    const auto may_be_so = [&] {
        const UnixNanoseconds mtime = file_status(file.fd, file.path).mtime;
        return may_differ(describe_page(page_, mtime), options_.audit);
    };
    // A page caught in the middle of a write is whole a moment later.
    for (int attempt = 0; collector_.hash(page_) != hash && !may_be_so(); ++attempt) {
        if (attempt == PageReader::kRereads) {
            return false;
        }
        collector_.reader().reread(file, page, page_.span());
    }
    return true;
}

} // namespace pgstrata::engine
