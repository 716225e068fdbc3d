// SPDX-License-Identifier: PostgreSQL
#include "support/chain.hpp"
#include "support/data_directory_comparison.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <map>

// Differential and incremental backups: what they build on, what they store, what comes back.

using namespace pgstrata::test;
using Catch::Contains;
using nlohmann::json;
using Strings = std::vector<std::string>;

namespace {

namespace fs = std::filesystem;

// A chain on a cluster with a table of some pages.
struct Ledger : Chain {
    explicit Ledger(SiteOptions options = {}) : Chain(std::move(options))
    {
        cluster().sql("CREATE TABLE ledger AS SELECT i AS id, md5(i::text) AS text FROM "
                      "generate_series(1, 40000) AS i");
        cluster().sql("CREATE TABLE quiet AS SELECT i AS id, md5(i::text) AS text FROM "
                      "generate_series(1, 40000) AS i");
        settle(cluster());
    }
    void change(int id)
    {
        cluster().sql("UPDATE ledger SET text = 'changed' WHERE id = " + std::to_string(id));
        settle(cluster());
    }
    void check_newest_is_right()
    {
        CHECK(differences_from_full() == Strings{});
        auto restored = restore();
        restored.start();
        restored.wait_until_promoted();
        CHECK(fingerprint(restored) == fingerprint(cluster()));
        if (cluster().major() == 15) {
            CHECK(restored.verify_structures());
            restored.stop();
            CHECK(restored.verify_checksums());
        }
    }
};

Strings texts(const json& list)
{
    return list.is_null() ? Strings{} : list.get<Strings>();
}

void remove_tree(const std::string& path)
{
    run_or_throw({"/bin/chmod", "-R", "u+w", path});
    fs::remove_all(path);
}

} // namespace

TEST_CASE("a chain of backups comes back as it was at each of them", "[incremental][bug-5][bug-58]")
{
    const auto* cipher = GENERATE("", "aes-256-gcm");
    CAPTURE(cipher);
    Ledger chain({.cipher = cipher});
    std::map<std::string, std::string> rows;
    Strings labels;
    const auto take = [&](const std::string& type) {
        const auto now = fingerprint(chain.cluster());
        settle(chain.cluster());
        labels.push_back(chain.take({"--type=" + type}));
        rows.emplace(labels.back(), now);
        if (*cipher == '\0' && type != "full") {
            CHECK(chain.differences_from_full() == Strings{});
        }
    };

    take("full");
    chain.change(1);
    take("incr");
    chain.change(20000);
    take("diff");
    chain.change(40000);
    take("incr");
    take("incr"); // of nothing new
    chain.check_newest_is_right();

    const auto backups = chain.backups();
    REQUIRE(backups.size() == 5);
    const std::vector<std::tuple<std::string, json, Strings>> expected{
        {"full", nullptr, {}},
        {"incr", labels[0], {labels[0]}},
        {"diff", labels[0], {labels[0]}},
        {"incr", labels[2], {labels[0], labels[2]}},
        {"incr", labels[3], {labels[0], labels[2], labels[3]}}};
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto& backup = backups.at(i);
        const auto& [type, prior, references] = expected[i];
        CAPTURE(backup.dump());
        CHECK(backup.at("label") == labels[i]);
        CHECK(backup.at("type") == type);
        CHECK(backup.at("prior") == prior);
        // What nothing is taken from need not be named.
        const auto named = texts(backup.at("reference"));
        CHECK(std::includes(references.begin(), references.end(), named.begin(), named.end()));
        CHECK((i == 0 || !named.empty()));
        const auto& info = backup.at("info");
        const auto size = info.at("size").get<std::uint64_t>();
        CHECK(size > 20'000'000);
        if (i != 0) {
            CHECK(labels[i].starts_with(labels[0] + "_"));
            CHECK(info.at("delta").get<std::uint64_t>() < 600'000);
            CHECK(info.at("repository").at("delta").get<std::uint64_t>() < 300'000);
            CHECK(info.at("repository").at("size").get<std::uint64_t>() >
                  info.at("repository").at("delta").get<std::uint64_t>());
        }
    }
    for (const auto& label : labels) {
        CAPTURE(label);
        auto restored = chain.restore(label);
        restored.start();
        restored.wait_until_promoted();
        CHECK(fingerprint(restored) == rows.at(label));
    }
}

TEST_CASE("without a backup to build on a full one is taken", "[incremental]")
{
    Ledger chain;
    const auto is_full_because = [&](const std::string& type, const std::string& reason) {
        const auto result = chain.backup({"--type=" + type});
        INFO(result.text());
        CHECK(result.status == 0);
        CHECK_THAT(result.text(), Contains("WARN") && Contains(reason) && Contains(type));
        CHECK(chain.backups().back().at("type") == "full");
    };
    const auto path_of = [&](const std::string& label, const std::string& name) {
        return chain.site().repository() + "/backup/main/" + label + "/" + name;
    };

    is_full_because("incr", "no prior backup exists");
    remove_tree(path_of(chain.newest(), ""));
    is_full_because("diff", "no prior backup exists");

    const auto full = chain.newest();
    chain.change(1);
    chain.take({"--type=incr"});
    remove_tree(path_of(full, ""));
    chain.change(2);
    is_full_because("incr", full);

    flip_byte(path_of(chain.newest(), "manifest"), 300);
    chain.change(3);
    is_full_because("incr", chain.newest().substr(0, 8));
    chain.check_newest_is_right();

    const auto pack = chain.site().objects(chain.newest() + "/pack/").back();
    fs::resize_file(chain.site().repository() + "/" + pack, 100);
    is_full_because("diff", "pack");
    chain.change(4);
    chain.take({"--type=incr"});
    chain.check_newest_is_right();
}

TEST_CASE("incr is what a backup is when no type is given", "[incremental]")
{
    Ledger chain;
    const auto full = chain.take({"--type=full"});
    chain.change(7);
    chain.take({});

    CHECK(chain.backups().back().at("type") == "incr");
    CHECK(chain.backups().back().at("prior") == full);
}

TEST_CASE("only --delta sees what was written without a trace", "[incremental][delta]")
{
    Ledger chain;
    chain.take({"--type=full"});
    auto& cluster = chain.cluster();
    const auto name = cluster.path(cluster.sql("SELECT pg_relation_filepath('quiet')"));
    cluster.stop();
    const auto time = fs::last_write_time(name);
    flip_byte(name, 3 * 8192 + 8000);
    fs::last_write_time(name, time);
    cluster.start();
    chain.change(5);

    chain.take({"--type=incr"});
    CHECK(chain.differences_from_full().size() == 1);
    const auto result = chain.backup({"--type=incr", "--delta"});

    INFO(result.text());
    CHECK(result.status == 0);
    CHECK(chain.differences_from_full() == Strings{});
    CHECK(chain.backups().back().at("error") == true); // and its checksum is wrong
    const auto summary = chain.summary();
    CHECK(summary.at("read").get<std::uint64_t>() >=
          summary.at("size").get<std::uint64_t>() * 9 / 10);
}

TEST_CASE("a damaged page stays known while the chain refers to it", "[incremental][bug-12]")
{
    const auto major = GENERATE(from_range(test_majors()));
    if (major != 15 && major != 17) {
        return;
    }
    CAPTURE(major);
    SiteOptions options;
    options.cluster.major = major;
    if (major >= 17) {
        options.cluster.settings.emplace_back("summarize_wal = on");
    }
    Ledger chain(options);
    auto& cluster = chain.cluster();
    const auto name = cluster.sql("SELECT pg_relation_filepath('ledger')");
    cluster.stop();
    flip_byte(cluster.path(name), 2 * 8192 + 8000);
    cluster.start();
    chain.take({"--type=full"});
    REQUIRE(chain.backups().back().at("error") == true);
    cluster.sql("INSERT INTO ledger VALUES (0, 'new')");
    settle(cluster);

    chain.take({"--type=incr"});

    CHECK(chain.backups().back().at("error") == true);
    CHECK(chain.differences_from_full() == Strings{});
}

TEST_CASE("page checksums are checked as in the backup before, and a warning says so",
          "[incremental]")
{
    struct Row {
        std::string of_full;
        std::string of_incr;
        bool is_damage_seen;
    };
    const auto row = GENERATE(values<Row>({{"--no-checksum-page", "--checksum-page", false},
                                           {"--checksum-page", "--no-checksum-page", true}}));
    CAPTURE(row.of_full);
    Site site;
    auto& cluster = site.cluster();
    cluster.sql("CREATE TABLE t AS SELECT generate_series(1, 5000) AS a; CHECKPOINT");
    const auto file = cluster.path(cluster.sql("SELECT pg_relation_filepath('t')"));
    const auto full = site.backup({"--type=full", row.of_full});
    cluster.stop();
    flip_byte(file, 2 * 8192 + 4000);
    cluster.start();

    const auto result = site.run({"backup", "--type=incr", row.of_incr});

    CHECK(result.status == 0);
    CHECK_THAT(result.text(),
               Catch::Contains("incr backup cannot alter 'checksum-page' option to") &&
                   Catch::Contains("from " + full));
    CHECK(site.info().at("backup").back().at("error") == row.is_damage_seen);
}

TEST_CASE("a delta restore brings an older restore up to an incremental backup",
          "[incremental][delta][restore]")
{
    Ledger chain;
    const auto full = chain.take({"--type=full"});
    auto old = chain.restore(full);
    chain.cluster().sql("DELETE FROM ledger WHERE id > 10000; DROP TABLE quiet; CREATE TABLE other "
                        "AS SELECT generate_series(1, 5000) AS i");
    chain.cluster().sql("VACUUM ledger");
    chain.change(1);
    chain.take({"--type=incr"});

    const auto target = old.data_directory();
    auto arguments = chain.restore_arguments({}, 1, target);
    arguments.emplace_back("--delta");
    chain.site().must(arguments);

    auto anew = chain.restore();
    CHECK(compare_data_directories(target, anew.data_directory()) == Strings{});
    old.start();
    old.wait_until_promoted();
    CHECK(fingerprint(old) == fingerprint(chain.cluster()));
}

TEST_CASE("an incremental backup under load comes back balanced", "[incremental]")
{
    const auto major = GENERATE(from_range(test_majors()));
    if (major != 15 && major != 17) {
        return;
    }
    CAPTURE(major);
    SiteOptions options;
    options.cluster.major = major;
    if (major >= 17) {
        options.cluster.settings.emplace_back("summarize_wal = on");
    }
    Chain chain(options);
    chain.cluster().load_pgbench(2);
    chain.take({"--type=full"});
    auto load = chain.cluster().start_pgbench(4);
    for (const auto* type : {"incr", "diff", "incr"}) {
        chain.take({std::string("--type=") + type});
    }
    load.wait();

    auto restored = chain.restore();
    restored.start();
    restored.wait_until_promoted();

    CHECK(restored.sql("SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) "
                       "FROM pgbench_history), (SELECT count(*) FROM pgbench_history) > 0") ==
          "t|t");
    if (major == 15) {
        CHECK(restored.verify_structures());
        restored.stop();
        CHECK(restored.verify_checksums());
    }
}

TEST_CASE("an incremental backup into a full repository fails and the next one is right",
          "[incremental][full-disk][bug-45]")
{
    const auto disk = SmallDisk::acquire();
    if (!disk) {
        return;
    }
    Ledger chain({.repository = disk->path() + "/repository"});
    chain.take({"--type=full"});
    chain.cluster().sql("CREATE TABLE big AS SELECT gen_random_uuid() FROM "
                        "generate_series(1, 200000)");
    chain.cluster().archive_current_segment();
    settle(chain.cluster());
    disk->fill_until(std::uint64_t{2} << 20U);

    const auto result = chain.backup({"--type=incr"});

    CHECK(result.status != 0);
    CHECK_THAT(result.text(), Contains("No space left"));
    CHECK(chain.backups().size() == 1);
    disk->release();
    chain.take({"--type=incr"});
    CHECK(chain.backups().size() == 2);
    chain.check_newest_is_right();
}
