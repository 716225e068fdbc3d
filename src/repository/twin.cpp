// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/twin.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/layout.hpp"

#include <algorithm>
#include <optional>

namespace pgstrata::repository {

namespace {

// One of the two.
struct Half {
    std::string path;
    Buffer text;
    std::optional<Error> fault; // why it is of no use

    bool is_sound() const noexcept { return !fault; }
    bool is_missing() const noexcept { return fault && fault->code() == ErrorCode::file_missing; }
    std::string_view state() const noexcept { return is_missing() ? "missing" : "damaged"; }
};

// Only an answer that says so makes it missing or damaged; any other failure is thrown.
Half read_half(const storage::Storage& storage, const std::string& path, const TextReader& read)
{
    Half half{path, {}, {}};
    try {
        half.text = storage::read_file(storage, path, kDocumentLimit);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_missing) {
            half.fault = Error(ErrorCode::file_missing,
                               fmt::format("'{}' in '{}' is missing", path, storage.location()));
        } else if (error.code() == ErrorCode::format) { // larger than any document
            half.fault = Error(ErrorCode::checksum, error.what());
        } else {
            throw;
        }
        return half;
    }
    try {
        read(as_text(half.text), path);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::checksum) {
            throw;
        }
        half.fault = error;
    }
    return half;
}

bool are_same(const Half& one, const Half& other)
{
    return as_text(one.text) == as_text(other.text);
}

std::string describe_difference(const Half& main, const Half& copy)
{
    return fmt::format(
        "'{}' and its copy '{}' are both sound but not the same", main.path, copy.path);
}

std::string mending_of_difference(const Half& main, const Half& copy)
{
    return fmt::format(
        "was one of them copied from another repository? '{}' is the one that counts: if it "
        "is right, remove '{}' and run stanza-create",
        main.path,
        copy.path);
}

[[noreturn]] void raise_both_lost(const Half& main, const Half& copy)
{
    throw main.fault->with_hint(fmt::format(
        "its copy '{}' is {}, too: bring one of them back from a copy of the repository",
        copy.path,
        copy.state()));
}

TwinFault fault_of(const Half& half, const Half& other)
{
    const ErrorCode code = half.fault->code();
    if (code != ErrorCode::file_missing && code != ErrorCode::checksum) {
        return {half.path, *half.fault};
    }
    const std::string mending =
        other.is_sound()
            ? fmt::format("stanza-create writes it anew from '{}'", other.path)
            : fmt::format("nor is '{}' sound: bring one of them back from a copy of the repository",
                          other.path);
    return {half.path, Error(code, fmt::format("{}; {}", half.fault->what(), mending))};
}

Half inspect_half(const storage::Storage& storage,
                  const std::string& path,
                  const TextReader& read,
                  const ErrorJudge& is_of_object)
{
    try {
        return read_half(storage, path, read);
    } catch (const Error& error) {
        if (!is_of_object(error)) {
            throw;
        }
        return {path, {}, error};
    }
}

} // namespace

bool read_twin(const storage::Storage& storage, const std::string& path, const TextReader& read)
{
    const Half main = read_half(storage, path, read);
    if (main.is_sound()) {
        return true;
    }
    const Half copy = read_half(storage, copy_path(path), read);
    if (main.is_missing() && copy.is_missing()) {
        return false;
    }
    if (!copy.is_sound()) {
        raise_both_lost(main, copy);
    }
    log::warn("'{}' in '{}' is {}: its copy '{}' is used, and stanza-create writes it anew",
              path,
              storage.location(),
              main.state(),
              copy.path);
    return true;
}

std::vector<TwinFault> inspect_twin(const storage::Storage& storage,
                                    const std::string& path,
                                    const TextReader& read,
                                    const ErrorJudge& is_of_object)
{
    const Half main = inspect_half(storage, path, read, is_of_object);
    const Half copy = inspect_half(storage, copy_path(path), read, is_of_object);
    std::vector<TwinFault> faults;
    for (const auto& [half, other] : {std::pair(&main, &copy), std::pair(&copy, &main)}) {
        if (!half->is_sound()) {
            faults.push_back(fault_of(*half, *other));
        }
    }
    if (main.is_sound() && copy.is_sound() && !are_same(main, copy)) {
        faults.push_back({copy.path,
                          Error(ErrorCode::repo_invalid,
                                fmt::format("{}; {}",
                                            describe_difference(main, copy),
                                            mending_of_difference(main, copy)))});
    }
    return faults;
}

bool mend_twin(storage::Storage& storage, const std::string& path, const TextReader& read)
{
    const Half main = read_half(storage, path, read);
    const Half copy = read_half(storage, copy_path(path), read);
    if (main.is_sound() && copy.is_sound()) {
        if (!are_same(main, copy)) {
            throw Error(ErrorCode::repo_invalid,
                        describe_difference(main, copy),
                        mending_of_difference(main, copy));
        }
        return false;
    }
    if (main.is_missing() && copy.is_missing()) {
        return false;
    }
    if (!main.is_sound() && !copy.is_sound()) {
        raise_both_lost(main, copy);
    }
    const Half& sound = main.is_sound() ? main : copy;
    const Half& lost = main.is_sound() ? copy : main;
    try {
        storage::write_file(storage,
                            lost.path,
                            sound.text,
                            lost.is_missing() ? storage::WriteMode::once
                                              : storage::WriteMode::replace);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_exists) {
            return false; // another host was faster
        }
        throw;
    }
    log::info("'{}' was {} and is written from '{}'", lost.path, lost.state(), sound.path);
    return &lost == &copy;
}

} // namespace pgstrata::repository
