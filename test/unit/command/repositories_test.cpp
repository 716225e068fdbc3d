// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/command/repositories.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

using namespace pgstrata;
using namespace pgstrata::test;
using codec::CipherType;

namespace {

// The configuration of `info` with these lines in [global].
config::Config configure(const TemporaryDirectory& directory,
                         const std::string& lines,
                         const std::vector<std::string>& arguments = {})
{
    std::ofstream(directory / "conf") << "[global]\n" << lines;
    config::Environment environment;
    environment.arguments = {"info", "--config=" + (directory / "conf")};
    environment.arguments.insert(environment.arguments.end(), arguments.begin(), arguments.end());
    return config::load_config(environment);
}

} // namespace

TEST_CASE("a repository has no cipher unless it is asked for", "[repositories]")
{
    TemporaryDirectory directory;
    const auto setting = command::cipher_setting(configure(directory, ""), 1);

    CHECK(setting.type == CipherType::none);
    CHECK(setting.passphrase.empty());
}

TEST_CASE("the passphrase comes from the option, a file or a command", "[repositories]")
{
    TemporaryDirectory directory;
    std::ofstream(directory / "pass") << "from file\nsecond line\n";
    const auto& [option, expected] = GENERATE(table<std::string, std::string>(
        {{"-file=PASS", "from file"},
         {"=from option", "from option"},
         {"-command=printf 'from command\\nrest\\n'", "from command"}}));
    CAPTURE(option);
    const std::string value = option == "-file=PASS" ? "-file=" + (directory / "pass") : option;

    const auto config =
        configure(directory, "repo1-cipher-type=aes-256-gcm\nrepo1-cipher-pass" + value + "\n");
    const auto setting = command::cipher_setting(config, 1);

    CHECK(setting.type == CipherType::aes_256_gcm);
    CHECK(setting.passphrase == expected);
}

TEST_CASE("an empty passphrase is refused", "[repositories]")
{
    TemporaryDirectory directory;
    std::ofstream(directory / "pass") << "\nsecond line\n";
    const bool is_file = GENERATE(true, false);
    const std::string value = is_file ? "-file=" + (directory / "pass") : "-command=true";
    const auto config =
        configure(directory, "repo1-cipher-type=aes-256-gcm\nrepo1-cipher-pass" + value + "\n");

    CHECK_THROWS_MATCHES(
        command::cipher_setting(config, 1), Error, HasCode(ErrorCode::option_required));
}

TEST_CASE("a command for the passphrase that fails is not repeated in the error",
          "[repositories][bug-53]")
{
    TemporaryDirectory directory;
    const auto config = configure(directory,
                                  "repo1-cipher-type=aes-256-gcm\n"
                                  "repo1-cipher-pass-command=echo canary; false\n");

    try {
        command::cipher_setting(config, 1);
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::execute);
        CHECK(std::string(error.what()).find("canary") == std::string::npos);
        CHECK(std::string(error.what()).find("repo1-cipher-pass-command") != std::string::npos);
    }
}

TEST_CASE("a repository that is made can be opened with its passphrase only", "[repositories]")
{
    TemporaryDirectory directory;
    const std::string lines =
        "repo1-path=" + (directory / "repo") + "\nrepo1-cipher-type=aes-256-gcm\n";
    const auto right = configure(directory, lines + "repo1-cipher-pass=right\n");
    const auto id =
        command::open_repository(right, 1, command::RepositoryAccess::create).repository->id();

    CHECK(command::open_repository(right, 1).repository->id() == id);
    CHECK_THROWS_MATCHES(
        command::open_repository(configure(directory, lines + "repo1-cipher-pass=wrong\n"), 1),
        Error,
        HasCode(ErrorCode::crypto));
}

TEST_CASE("opening does not make a repository", "[repositories]")
{
    TemporaryDirectory directory;
    const auto config = configure(directory, "repo1-path=" + (directory / "repo") + "\n");

    CHECK_THROWS_MATCHES(
        command::open_repository(config, 1), Error, HasCode(ErrorCode::file_missing));
    CHECK_FALSE(std::filesystem::exists(directory / "repo"));
}

TEST_CASE("the repositories of a command are the chosen one, or all and the lowest",
          "[repositories]")
{
    TemporaryDirectory directory;
    const std::string lines = "repo2-path=/a\nrepo5-path=/b\n";
    const auto all = configure(directory, lines);
    const auto chosen = configure(directory, lines, {"--repo=5"});

    CHECK(command::chosen_repositories(all) == std::vector<unsigned>{2, 5});
    CHECK(command::single_repository(all) == 2);
    CHECK(command::chosen_repositories(chosen) == std::vector<unsigned>{5});
    CHECK(command::single_repository(chosen) == 5);
}

TEST_CASE("a repository that fails does not keep the others from being used", "[repositories]")
{
    std::vector<unsigned> used;
    const std::string failures = command::try_repositories({1, 3, 4}, [&](unsigned index) {
        if (index == 3) {
            throw Error(ErrorCode::crypto, "wrong passphrase", "look");
        }
        used.push_back(index);
    });

    CHECK(used == std::vector<unsigned>{1, 4});
    CHECK(failures == "\nrepo3: [CryptoError] wrong passphrase\nHINT: look");
}

TEST_CASE("an end that was asked for is no failure of a repository", "[repositories][bug-57]")
{
    CHECK_THROWS_MATCHES(command::try_repositories({1},
                                                   [](unsigned) {
                                                       throw Error(ErrorCode::terminated,
                                                                   "terminated on signal SIGTERM");
                                                   }),
                         Error,
                         HasCode(ErrorCode::terminated));
}
