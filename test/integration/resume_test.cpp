// SPDX-License-Identifier: PostgreSQL
#include "support/chain.hpp"

#include <catch2/catch.hpp>

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <thread>

// A backup that died is taken up again: what it had stored is used, and what comes out is right.

using namespace pgstrata::test;
using Catch::Contains;
using Strings = std::vector<std::string>;

namespace {

namespace fs = std::filesystem;

class Interrupted : public Chain {
public:
    explicit Interrupted(SiteOptions options = {}) : Chain(std::move(options))
    {
        cluster().sql(
            "CREATE TABLE large AS SELECT i AS id, md5(i::text) || md5((-i)::text) AS text "
            "FROM generate_series(1, 250000) AS i");
        // Whoever reads the pages for the first time changes them.
        cluster().sql("VACUUM large");
        cluster().sql("CREATE TABLE small AS SELECT i AS id FROM generate_series(1, 1000) AS i");
        settle(cluster());
    }

    void change_all()
    {
        cluster().sql("UPDATE large SET text = reverse(text)");
        cluster().sql("VACUUM large");
        settle(cluster());
    }
    void change_some()
    {
        cluster().sql("UPDATE large SET text = 'changed' WHERE id % 1000 = 0; DELETE FROM small "
                      "WHERE id < 10; CREATE TABLE later AS SELECT generate_series(1, 100) AS i");
        settle(cluster());
    }

    static Strings slowly(const std::string& type)
    {
        return {"backup",
                "--repo=1",
                "--type=" + type,
                "--compress-type=zst",
                "--compress-level=16",
                "--process-max=1",
                "--repo1-pack-size=1MiB",
                "--log-level-console=info"};
    }
    // Returns when the backup has finished that many packs.
    void wait_for_packs(BackgroundProcess& backup, std::size_t count) const
    {
        wait_until("some finished packs", [&] {
            if (!backup.is_running()) {
                throw std::runtime_error("the backup ended too early: " + backup.wait().text());
            }
            return journals().size() >= count;
        });
    }
    // Lets a backup die; returns the label it leaves.
    std::string interrupt(const std::string& type, int signal = SIGKILL, unsigned milliseconds = 0)
    {
        auto backup = site().start(slowly(type));
        wait_for_packs(backup, 2);
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        backup.signal(signal);
        backup.wait();
        return label_of(journals().at(0));
    }

    Strings journals() const { return site().objects("/journal/"); }
    Strings packs(const std::string& label) const { return site().objects(label + "/pack/"); }
    std::uint64_t size_of(const Strings& objects) const
    {
        std::uint64_t sum = 0;
        for (const auto& object : objects) {
            sum += fs::file_size(site().repository() + "/" + object);
        }
        return sum;
    }
    // Those packs that are proved by a journal.
    Strings durable_packs() const
    {
        Strings result;
        for (auto name : journals()) {
            result.push_back(name.replace(name.find("/journal/"), 9, "/pack/"));
        }
        return result;
    }
    static std::string label_of(const std::string& object)
    {
        const std::string prefix = "backup/main/";
        const auto begin = object.find(prefix) + prefix.size();
        return object.substr(begin, object.find('/', begin) - begin);
    }

    void check_is_complete_and_right()
    {
        CHECK(journals().empty());
        CHECK(site().objects("/lease").empty());
        const auto listing = site().must({"repo-ls", "--repo=1", "backup/main/" + newest()}).out;
        CHECK(listing == "backup.json\nmanifest\npack\n");
        CHECK(differences_from_full() == Strings{});
        auto restored = restore();
        restored.start();
        restored.wait_until_promoted();
        CHECK(fingerprint(restored) == fingerprint(cluster()));
    }
};

} // namespace

TEST_CASE("a backup that died is taken up with what it had stored", "[resume][incremental]")
{
    const auto& [type, signal, cipher] = GENERATE(table<std::string, int, std::string>(
        {{"full", SIGKILL, ""}, {"diff", SIGTERM, ""}, {"incr", SIGKILL, "aes-256-gcm"}}));
    const auto milliseconds = static_cast<unsigned>(std::rand() % 500);
    CAPTURE(type, signal, cipher, milliseconds);
    SiteOptions options;
    options.cipher = cipher;
    Interrupted chain(options);
    const std::size_t before = type == "full" ? 0 : 1;
    if (before != 0) {
        chain.take({"--type=full"});
        chain.change_all();
    }
    const auto label = chain.interrupt(type, signal, milliseconds);
    CHECK(chain.backups().size() == before);
    const auto durable = chain.durable_packs();
    const auto durable_size = chain.size_of(durable);
    chain.change_some();

    const auto result = chain.backup({"--type=" + type});

    INFO(result.text());
    REQUIRE(result.status == 0);
    CHECK_THAT(result.text(),
               Contains("WARN") && Contains(label + " of the same type") &&
                   Contains("it is resumed"));
    CHECK(chain.newest() == label);
    CHECK(chain.backups().size() == before + 1);
    const auto packs = chain.packs(label);
    CHECK(std::includes(packs.begin(), packs.end(), durable.begin(), durable.end()));
    const auto stored_anew = chain.size_of(packs) - durable_size;
    chain.check_is_complete_and_right();

    if (type == "full") {
        // The same from nothing, at the level of the second try.
        chain.take({"--type=full"});
        CHECK(stored_anew + durable_size / 2 < chain.size_of(chain.packs(chain.newest())));
    }
}

TEST_CASE("a damaged pack of a backup that died is not used", "[resume][incremental][bug-58]")
{
    Interrupted chain;
    const auto label = chain.interrupt("full");
    const auto durable = chain.durable_packs();
    const auto path = chain.site().repository() + "/" + durable.at(0);
    flip_byte(path, static_cast<std::int64_t>(fs::file_size(path) / 2));
    const auto damaged = read_file(path);

    const auto result = chain.backup({"--type=full"});

    INFO(result.text());
    REQUIRE(result.status == 0);
    CHECK(chain.newest() == label);
    CHECK((!fs::exists(path) || read_file(path) != damaged));
    chain.check_is_complete_and_right();
}

TEST_CASE("a backup that is not to be resumed begins anew and nothing stays of the old one",
          "[resume][incremental]")
{
    Interrupted chain;
    const auto label = chain.interrupt("full");

    const auto result = chain.backup({"--type=full", "--no-resume"});

    INFO(result.text());
    REQUIRE(result.status == 0);
    CHECK_THAT(result.text(), !Contains("resumed"));
    CHECK(chain.newest() != label);
    CHECK(chain.site().objects(label).empty());
    CHECK(chain.journals().empty());
}

TEST_CASE("a backup of another type does not go on with one that died", "[resume][incremental]")
{
    Interrupted chain;
    const auto first = chain.take({"--type=full"});
    chain.change_all();
    const auto label = chain.interrupt("full");

    const auto result = chain.backup({"--type=incr"});

    INFO(result.text());
    REQUIRE(result.status == 0);
    CHECK_THAT(result.text(), !Contains("resumed"));
    CHECK(chain.backups().back().at("prior") == first);
    CHECK(chain.site().objects(label).empty());
    chain.check_is_complete_and_right();
}

TEST_CASE("a backup that died is taken up again after it died again", "[resume][incremental]")
{
    Interrupted chain;
    chain.take({"--type=full"});
    chain.change_all();
    const auto label = chain.interrupt("incr");
    const auto first = chain.durable_packs().size();
    chain.change_some();
    auto again = chain.site().start(Interrupted::slowly("incr"));
    chain.wait_for_packs(again, first + 1);
    const auto other = chain.backup({"--type=incr", "--lock-path=" + chain.site().path("spool")});
    const bool was_running = again.is_running();
    again.signal(SIGKILL);
    again.wait();

    CHECK(was_running);
    INFO(other.text());
    CHECK(other.status == 50); // by the lease: the lock file is another host's
    const auto result = chain.backup({"--type=incr"});
    INFO(result.text());
    REQUIRE(result.status == 0);
    CHECK_THAT(result.text(), Contains("it is resumed"));
    CHECK(chain.newest() == label);
    chain.check_is_complete_and_right();
}
