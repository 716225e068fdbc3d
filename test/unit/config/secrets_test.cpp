// SPDX-License-Identifier: PostgreSQL
#include "config/option_name.hpp"
#include "unit/config/fixture.hpp"

namespace pgstrata::test {

using Catch::Contains;

namespace {

const std::string kCanary = "c4n4ry";

std::string everything(const config::Config& config)
{
    std::string text = config.non_default_options();
    for (const auto* lines :
         {&config.warnings(), &config.notes(), &config.command_line_options()}) {
        for (const std::string& line : *lines) {
            text += "\n" + line;
        }
    }
    return text;
}

} // namespace

TEST_CASE("a secure option is refused on the command line without showing its value",
          "[config][bug-53]")
{
    ConfigHost host;
    const std::string name = GENERATE("repo1-cipher-pass",
                                      "repo-cipher-pass",
                                      "repo1-s3-key",
                                      "repo3-s3-key-secret",
                                      "repo1-s3-token",
                                      "repo1-azure-key",
                                      "repo1-gcs-key",
                                      "repo1-sftp-private-key-passphrase");
    const Words argument =
        GENERATE_COPY(Words{"--" + name + "=" + kCanary}, Words{"--" + name, kCanary});
    Words arguments = argument;
    arguments.insert(arguments.begin(), "info");

    const Error error = host.fail(arguments);

    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what() + error.hint(), !Contains(kCanary));
}

TEST_CASE("a mistyped secure option does not show its value", "[config][bug-53]")
{
    ConfigHost host;
    const std::string argument = GENERATE("--repo1-cipher-pas=",
                                          "--repo1-cipher-psas=",
                                          "--repo1-cipher-pass:",
                                          "--repo1-s3-key+",
                                          "--no-repo1-cipher-pass=",
                                          "--repo999-cipher-pass=",
                                          "-repo1-cipher-pass=");

    const Error error = host.fail({"info", argument + kCanary});

    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what() + error.hint(), !Contains(kCanary));
}

TEST_CASE("no message about a secure value in a file shows it", "[config][bug-53]")
{
    ConfigHost host;
    const std::string text = GENERATE(std::string("repo1-cipher-pass=a${"),
                                      std::string("repo1-cipher-pass=${"),
                                      std::string("repo1-cipher-pass=x\nrepo1-cipher-pass="),
                                      std::string("repo1-cipher-pass=x\nrepo-cipher-pass="),
                                      std::string("repo1-cipher-pass=x\n"));
    host.write_config("[global]\nrepo1-cipher-type=aes-256-gcm\n" + text + kCanary + "}\n");

    const Error error = host.fail({"info"});

    CHECK_THAT(error.what(), Contains("line"));
    CHECK_THAT(error.what() + error.hint(), !Contains(kCanary));
}

TEST_CASE("a stray half of a secret in a file is not quoted", "[config][bug-53]")
{
    ConfigHost host;
    host.write_config("[global]\nlog-path=/x\nQUJD" + kCanary + "=\n");

    CHECK_THAT(everything(host.load({"info"})), !Contains(kCanary) && Contains("line 3"));
}

TEST_CASE("secure values of files and environment are in no list of options", "[config][bug-53]")
{
    ConfigHost host;
    host.write_config("[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=" + kCanary +
                      "1\nrepo2-path=/r\nrepo2-cipher-type=aes-256-gcm\n");
    host.environment.variables = {{"PGSTRATA_REPO2_CIPHER_PASS", kCanary + "2"}};

    const config::Config config = host.load({"info"});

    CHECK(config.text("repo-cipher-pass", 1) == kCanary + "1");
    CHECK(config.text("repo-cipher-pass", 2) == kCanary + "2");
    CHECK_THAT(everything(config), !Contains(kCanary) && Contains("<redacted>"));
}

TEST_CASE("what may hold a secret is not in the begin line, and may be given on the command line",
          "[config][bug-53]")
{
    ConfigHost host;
    host.write_config("[global]\nrepo1-type=s3\nrepo1-path=/r\nrepo1-s3-bucket=b\n"
                      "repo1-s3-endpoint=e\nrepo1-s3-region=r\nrepo1-s3-key-type=process\n"
                      "repo1-s3-process-cmd=/bin/keys\nrepo1-s3-process-cmd=" +
                      kCanary + "\nrepo1-cipher-type=aes-256-gcm\n[main]\npg1-path=/pg\n");

    const config::Config config =
        host.load({"restore",
                   "--stanza=main",
                   "--repo1-cipher-pass-command=echo " + kCanary,
                   "--recovery-option=primary_conninfo=host=h password=" + kCanary});

    CHECK(config.text("repo-cipher-pass-command", 1) == "echo " + kCanary);
    CHECK_THAT(config.non_default_options(),
               !Contains(kCanary) &&
                   Contains(" --recovery-option=primary_conninfo=<redacted> "
                            "--repo1-cipher-pass-command=<redacted> ") &&
                   Contains(" --repo1-s3-process-cmd=<redacted> "));
}

TEST_CASE("a refused secure option is named without its value", "[config][bug-53]")
{
    ConfigHost host;
    host.write_config("[global]\nrepo1-type=s3\nrepo1-s3-key=" + kCanary +
                      "\nrepo1-s3-token=" + kCanary + "\nrepo1-azure-account=" + kCanary + "\n");

    const Error error = host.fail({"info"});

    CHECK_THAT(error.what() + error.hint(), !Contains(kCanary));
}

TEST_CASE("every secure option of the table is refused on the command line", "[config][bug-53]")
{
    ConfigHost host;
    int count = 0;
    for (const config::OptionRow& row : config::option_table()) {
        if (row.is_secure) {
            ++count;
            const Error error =
                host.fail({"info", "--" + config::display_name(row, 1) + "=" + kCanary});
            CHECK(error.code() == ErrorCode::option_invalid);
            CHECK_THAT(error.what(), !Contains(kCanary));
        }
    }
    CHECK(count == 10);
}

} // namespace pgstrata::test
