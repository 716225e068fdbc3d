// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/repositories.hpp"

#include "command/s3_repository.hpp"

#include "pgstrata/command/error_names.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/storage/posix.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/process.hpp"

#include <algorithm>

namespace pgstrata::command {

namespace {

constexpr std::size_t kPassphraseLimit = 65536;

// Each request is tried once.
void make_brief(storage::S3Options& options)
{
    constexpr std::uint64_t kBrief = 5000;
    options.http.timeout_milliseconds = std::min(options.http.timeout_milliseconds, kBrief);
    options.retry = {.limit_milliseconds = options.http.timeout_milliseconds, .least_tries = 1};
}

std::string first_line(const std::string& text)
{
    return text.substr(0, text.find('\n'));
}

std::string read_passphrase(const config::Config& config, unsigned index)
{
    if (config.has("repo-cipher-pass", index)) {
        return config.text("repo-cipher-pass", index);
    }
    if (config.has("repo-cipher-pass-file", index)) {
        return first_line(
            read_text_file(config.text("repo-cipher-pass-file", index), kPassphraseLimit));
    }
    if (config.has("repo-cipher-pass-command", index)) {
        try {
            return first_line(run_shell(config.text("repo-cipher-pass-command", index),
                                        static_cast<std::uint64_t>(config.number("io-timeout"))));
        } catch (const Error& error) {
            throw error.within(fmt::format("run 'repo{}-cipher-pass-command'", index));
        }
    }
    return {};
}

} // namespace

std::unique_ptr<storage::Storage>
open_storage(const config::Config& config, unsigned index, Patience patience)
{
    if (config.text("repo-type", index) == "s3") {
        storage::S3Options options = s3_options(config, index);
        if (patience == Patience::brief) {
            make_brief(options);
        }
        return storage::make_s3_storage(std::move(options));
    }
    // A mounted CIFS share is a directory to us: writing to it finds out what it cannot do.
    return storage::make_posix_storage({.root = config.text("repo-path", index)});
}

repository::CipherSetting cipher_setting(const config::Config& config, unsigned index)
{
    repository::CipherSetting setting;
    const std::string& name = config.text("repo-cipher-type", index);
    const auto type = codec::parse_cipher(name);
    if (!type) {
        raise(ErrorCode::assertion, "the cipher '{}' of repo{} is unknown", name, index);
    }
    setting.type = *type;
    if (setting.type == codec::CipherType::none) {
        return setting;
    }
    setting.passphrase = read_passphrase(config, index);
    if (setting.passphrase.empty()) {
        throw Error(
            ErrorCode::option_required,
            fmt::format("the passphrase of repo{} is empty", index),
            fmt::format("set 'repo{0}-cipher-pass', 'repo{0}-cipher-pass-file' or "
                        "'repo{0}-cipher-pass-command'; 'openssl rand -base64 48' makes a good one",
                        index));
    }
    return setting;
}

OpenedRepository open_repository(const config::Config& config,
                                 unsigned index,
                                 RepositoryAccess access,
                                 Patience patience)
{
    OpenedRepository opened;
    opened.index = index;
    opened.storage = open_storage(config, index, patience);
    const repository::CipherSetting setting = cipher_setting(config, index);
    opened.repository = access == RepositoryAccess::create
                            ? repository::Repository::open_or_create(*opened.storage, setting)
                            : repository::Repository::open(*opened.storage, setting);
    return opened;
}

std::vector<unsigned> chosen_repositories(const config::Config& config)
{
    if (config.has("repo")) {
        return {config.default_repo()};
    }
    return config.repo_indexes();
}

unsigned single_repository(const config::Config& config)
{
    const unsigned index = config.default_repo();
    if (!config.has("repo") && config.repo_indexes().size() > 1) {
        log::info("repo option not specified, defaulting to repo{}", index);
    }
    return index;
}

std::string describe_failure(unsigned index, const Error& error)
{
    const std::string text =
        fmt::format("repo{}: [{}] {}", index, error_name(error.code()), error.what());
    return error.hint().empty() ? text : fmt::format("{}\nHINT: {}", text, error.hint());
}

std::string try_repositories(const std::vector<unsigned>& indexes,
                             const std::function<void(unsigned)>& work)
{
    std::string failures;
    for (const unsigned index : indexes) {
        try {
            work(index);
        } catch (const Error& error) {
            if (error.code() == ErrorCode::terminated) {
                throw;
            }
            failures += "\n" + describe_failure(index, error);
        }
    }
    return failures;
}

void raise_no_repository(const std::string& failures)
{
    throw Error(ErrorCode::repo_invalid, "unable to find a valid repository:" + failures);
}

} // namespace pgstrata::command
