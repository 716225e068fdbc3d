// SPDX-License-Identifier: PostgreSQL
#include "config/ini_file.hpp"
#include "config/value.hpp"
#include "support/rounds.hpp"
#include "unit/config/fixture.hpp"

#include <random>

namespace pgstrata::test {

namespace {

// Text made of pieces that mean something to the parsers, and of bytes that do not.
class Garbage {
public:
    explicit Garbage(unsigned seed) : random_(seed) {}

    std::size_t below(std::size_t bound)
    {
        return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_);
    }

    std::string text(std::size_t most_pieces)
    {
        std::string text;
        for (std::size_t i = below(most_pieces + 1); i > 0; --i) {
            if (below(4) == 0) {
                text += static_cast<char>(below(256));
            } else {
                text += kPieces[below(kPieces.size())];
            }
        }
        return text;
    }

private:
    static const std::vector<std::string> kPieces;
    std::mt19937 random_;
};

const std::vector<std::string> Garbage::kPieces = {
    "\n",
    "=",
    "[",
    "]",
    "#",
    "global",
    "main",
    ":",
    "info",
    "backup",
    "repo",
    "pg",
    "1",
    "256",
    "-",
    "--",
    "path",
    "stanza",
    "log-path",
    "/",
    "${",
    "}",
    "$$",
    "no-",
    "reset-",
    "y",
    "n",
    " ",
    "\t",
    "\r",
    "db-include",
    "link-map",
    "help",
    "99999999999999999999",
    "archive-get",
    "set",
    "{",
    "=>",
    ";",
    "compress-level",
    "type",
    "restore",
    "config",
    "-file",
    "repo1-cipher-pass",
    "process-max",
    "18446744073709551616",
};

// Nothing but success or an Error with a message may come out.
template <typename Work>
bool ends_well(Work work)
{
    try {
        work();
        return true;
    } catch (const Error& error) {
        const std::string message = error.what();
        return !message.empty() && error.code() != ErrorCode::assertion;
    }
}

} // namespace

TEST_CASE("no file makes the ini parser fail in another way than by an error", "[config][bug-54]")
{
    Garbage garbage(1);
    for (unsigned round = 0; round < rounds(20000); ++round) {
        const std::string text = garbage.text(60);
        INFO("round " << round);
        REQUIRE(ends_well([&] {
            config::Ini ini;
            config::append_ini(ini, "/x", text);
        }));
    }
}

TEST_CASE("no command line fails in another way than by an error", "[config][bug-54]")
{
    ConfigHost host;
    Garbage garbage(2);
    for (unsigned round = 0; round < rounds(20000); ++round) {
        Words arguments;
        for (std::size_t i = garbage.below(6); i > 0; --i) {
            // A command line holds no zero bytes.
            std::string word = garbage.text(8);
            std::erase(word, '\0');
            arguments.push_back((garbage.below(2) == 0 ? "--" : "") + word);
        }
        INFO("round " << round);
        REQUIRE(ends_well([&] { host.load(arguments); }));
    }
}

TEST_CASE("no environment and no file fail in another way than by an error", "[config][bug-54]")
{
    ConfigHost host;
    Garbage garbage(3);
    const Words commands = {"info", "check", "restore", "backup", "stop"};
    for (unsigned round = 0; round < rounds(3000); ++round) {
        host.write_config("[global]\n" + garbage.text(40) + "\n[main]\n" + garbage.text(40));
        host.environment.variables = {
            {"PGSTRATA_" + garbage.text(4), garbage.text(6)},
            {"PGSTRATA_STANZA", garbage.below(2) == 0 ? "main" : garbage.text(3)},
            {"PGSTRATA_LINK_MAP", garbage.text(6)}};
        INFO("round " << round);
        REQUIRE(ends_well([&] { host.load({commands[garbage.below(commands.size())]}); }));
    }
}

TEST_CASE("no text makes a number parser fail", "[config][bug-54]")
{
    Garbage garbage(4);
    for (unsigned round = 0; round < rounds(50000); ++round) {
        const std::string text = garbage.text(4);
        const auto size = config::parse_size(text);
        const auto time = config::parse_time(text);
        CHECK((!size || *size >= 0));
        CHECK((!time || *time >= 0));
    }
}

TEST_CASE("a large file is read in reasonable time", "[config][bug-54]")
{
    ConfigHost host;
    std::string text = "[global]\n";
    for (int index = 1; index <= 256; ++index) {
        text += fmt::format("repo{0}-path=/r{0}\nrepo{0}-type=posix\nbogus{0}-option=1\n", index);
    }
    for (int line = 0; line < 20000; ++line) {
        text += "[stanza" + std::to_string(line) + "]\npg1-path=/x\n";
    }
    host.write_config(text);

    CHECK(host.load({"info"}).repo_indexes().size() == 256);
}

} // namespace pgstrata::test
