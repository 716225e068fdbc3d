// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/repository_probe.hpp"

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"
#include "pgstrata/util/time.hpp"

namespace pgstrata::engine {

namespace {

constexpr std::size_t kProbeLimit = 4096;
// Nobody is at work on a probe for so long.
constexpr UnixSeconds kProbeLife = kSecondsPerDay;

class Probe : NonCopyable {
public:
    Probe(storage::Storage& storage, const std::string& stanza)
        : storage_(storage), directory_(repository::archive_path(stanza)),
          tag_(random_tag() + random_tag()), path_(repository::probe_path(stanza, tag_)),
          text_("written by pgstrata check " + tag_ + "\n")
    {
    }

    std::vector<ProbeFailure> run()
    {
        // Listed before anything else: where that right is missing, a store refuses to say that an
        // object is absent, which is asked before it is written.
        const bool can_list = attempt(ProbeStep::list, [&] { is_listed(); });
        if (attempt(ProbeStep::write,
                    [&] { storage::write_file(storage_, path_, as_bytes(text_)); })) {
            attempt(ProbeStep::read, [&] { read_back(); });
            if (can_list) {
                attempt(ProbeStep::list, [&] { find(); });
            }
            if (attempt(ProbeStep::remove, [&] { remove(); })) {
                attempt(ProbeStep::remove, [&] { storage_.remove_all(left_behind_); });
            }
        }
        return std::move(failures_);
    }

private:
    template <typename Work>
    bool attempt(ProbeStep step, const Work& work)
    {
        try {
            work();
            return true;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::terminated) {
                throw;
            }
            failures_.push_back({step, error});
            return false;
        }
    }

    bool is_listed()
    {
        bool is_there = false;
        left_behind_.clear();
        storage_.list(directory_, [&](const storage::EntryInfo& entry) {
            is_there = is_there || entry.name == file_name(path_);
            if (entry.type == storage::EntryType::file && repository::is_probe_name(entry.name) &&
                now_seconds() - entry.mtime > kProbeLife) {
                left_behind_.push_back(join_path(directory_, entry.name));
            }
        });
        return is_there;
    }

    void read_back() const
    {
        if (as_text(storage::read_file(storage_, path_, kProbeLimit)) != text_) {
            throw Error(ErrorCode::checksum,
                        fmt::format("'{}' does not come back as it was written to '{}'",
                                    path_,
                                    storage_.location()),
                        "is there something between this host and the store that changes data?");
        }
    }

    void find()
    {
        if (!is_listed()) {
            throw Error(ErrorCode::file_missing,
                        fmt::format("'{}' was written to '{}', but its directory does not list it",
                                    path_,
                                    storage_.location()),
                        "backups and WAL are found by listing: the store has to show at once what "
                        "it has taken");
        }
    }

    void remove()
    {
        storage_.remove_all(std::vector<std::string>{path_});
        if (storage_.info(path_)) {
            raise(ErrorCode::file_remove,
                  "'{}' is still in '{}' after it was removed",
                  path_,
                  storage_.location());
        }
    }

    storage::Storage& storage_;
    std::string directory_;
    std::string tag_;
    std::string path_;
    std::string text_;
    std::vector<std::string> left_behind_; // by checks that died
    std::vector<ProbeFailure> failures_;
};

} // namespace

std::vector<ProbeFailure> probe_repository(storage::Storage& storage, const std::string& stanza)
{
    return Probe(storage, stanza).run();
}

bool is_refused_removal(const ProbeFailure& failure) noexcept
{
    const ErrorCode code = failure.error.code();
    return failure.step == ProbeStep::remove &&
           (code == ErrorCode::access || code == ErrorCode::file_remove);
}

} // namespace pgstrata::engine
