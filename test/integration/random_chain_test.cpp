// SPDX-License-Identifier: PostgreSQL
#include "support/chain.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

// Random work between random backups; every one of them must come back with the rows it was made
// of. PGSTRATA_RANDOM_STEPS and PGSTRATA_RANDOM_SEED make it longer or another.

using namespace pgstrata::test;
using Strings = std::vector<std::string>;

namespace {

namespace fs = std::filesystem;

constexpr unsigned kTables = 6;
constexpr unsigned kStatementsInStep = 8;

unsigned number_from(const char* variable, unsigned otherwise)
{
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : static_cast<unsigned>(std::stoul(text));
}

SiteOptions options_of(unsigned major, unsigned seed)
{
    SiteOptions options;
    options.cluster.major = major;
    options.cluster.checksums = seed % 3 != 0;
    if (major >= 17) {
        options.cluster.settings.emplace_back("summarize_wal = on");
    }
    options.cipher = seed % 2 == 0 ? "" : "aes-256-gcm";
    return options;
}

class RandomLife : public Chain {
public:
    RandomLife(unsigned major, unsigned seed) : Chain(options_of(major, seed)), random_(seed)
    {
        fs::create_directory(site().path("space"));
        cluster().sql("CREATE TABLESPACE space LOCATION '" + site().path("space") + "'");
        for (unsigned table = 0; table < kTables; ++table) {
            cluster().sql(creation("t" + std::to_string(table)));
        }
    }

    void step()
    {
        for (unsigned i = 0; i < kStatementsInStep; ++i) {
            const auto statement = random_statement();
            history_ += statement + "\n";
            // Some are not allowed in the state that those before have led to.
            cluster().try_sql(statement, one_of({"postgres", "postgres", "postgres", "extra"}));
        }
        if (below(6) == 0) {
            history_ += "kill -9\n";
            cluster().kill();
            cluster().start();
        }
        back_up();
    }

    void check_all()
    {
        CAPTURE(history_);
        CHECK(differences_from_full() == Strings{});
        for (const auto& [label, rows] : rows_) {
            CAPTURE(label);
            auto restored = restore(label);
            restored.start();
            restored.wait_until_promoted();
            CHECK(rows_of(restored) == rows);
            restored.stop();
            if (restored.major() == 15 && cluster_has_checksums()) {
                CHECK(restored.verify_checksums());
            }
            fs::remove_all(restored.data_directory());
            fs::remove_all(restored.data_directory() + ".tablespaces");
        }
    }

private:
    unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
    std::string one_of(const Strings& choice)
    {
        return choice[below(static_cast<unsigned>(choice.size()))];
    }
    bool cluster_has_checksums() { return cluster().sql("SHOW data_checksums") == "on"; }

    std::string creation(const std::string& table)
    {
        return "CREATE " + one_of({"", "", "UNLOGGED "}) + "TABLE " + table +
               " (id int, text text, p point) " + one_of({"", "TABLESPACE space"}) +
               "; INSERT INTO " + table + rows(3000) + "; CREATE INDEX ON " + table + " USING " +
               one_of({"btree (id)", "hash (text)", "spgist (p)", "gist (p)", "brin (id)"});
    }
    std::string rows(unsigned most)
    {
        const auto first = below(100000);
        return " SELECT i, repeat(md5(i::text), " + std::to_string(1 + below(8)) +
               "), point(i, i % 100) FROM generate_series(" + std::to_string(first) + ", " +
               std::to_string(first + 1 + below(most)) + ") AS i";
    }
    std::string condition() { return " WHERE id % " + std::to_string(2 + below(40)) + " = 0"; }

    std::string random_statement()
    {
        const auto table = "t" + std::to_string(below(kTables));
        switch (below(24)) {
        case 0:
        case 1:
        case 2:
            return "INSERT INTO " + table + rows(4000);
        case 3:
        case 4:
        case 5:
            return "UPDATE " + table + " SET text = reverse(text)" + condition();
        case 6:
        case 7:
            return "DELETE FROM " + table + condition();
        case 8:
            return "DELETE FROM " + table + " WHERE ctid > '(" + std::to_string(below(60)) + ",0)'";
        case 9:
        case 10:
        case 11:
            return "VACUUM " + one_of({"", "(FREEZE) ", "(TRUNCATE) "}) + table;
        case 12:
            return "TRUNCATE " + table;
        case 13:
            return "VACUUM FULL " + table;
        case 14:
            return "DROP TABLE IF EXISTS " + table + "; " + creation(table);
        case 15:
            return "ALTER TABLE " + table + " SET " + one_of({"LOGGED", "UNLOGGED"});
        case 16:
            return "ALTER TABLE " + table + " SET TABLESPACE " + one_of({"space", "pg_default"});
        case 17:
            return "REINDEX TABLE " + table;
        case 18:
            return "SELECT count(*) FROM " + table;
        case 19:
            return "COPY " + table + " (id) FROM PROGRAM 'seq 1 " + std::to_string(below(9000)) +
                   "'";
        case 20:
            return "BEGIN; INSERT INTO " + table + rows(2000) + "; ROLLBACK";
        case 21:
            return "DROP DATABASE IF EXISTS extra";
        case 22:
            return "CREATE DATABASE extra TEMPLATE template1 STRATEGY " +
                   one_of({"file_copy", "wal_log"});
        default:
            return "CHECKPOINT";
        }
    }

    std::string rows_of(const Cluster& of)
    {
        auto result = fingerprint(of);
        if (of.sql("SELECT count(*) FROM pg_database WHERE datname = 'extra'") == "1") {
            result += "\nextra\n" + fingerprint(of, "extra");
        }
        return result;
    }

    void back_up()
    {
        const auto now = rows_of(cluster());
        if (below(2) == 0) {
            settle(cluster());
        }
        Strings arguments{"--type=" + one_of({"full", "diff", "diff", "incr", "incr", "incr"}),
                          "--change-tracking=" + one_of({"auto", "auto", "auto", "scan"})};
        if (below(8) == 0) {
            arguments.emplace_back("--delta");
        }
        const auto label = take(arguments);
        history_ += "backup " + label + " " + arguments.back() + "\n";
        rows_.emplace(label, now);
    }

    std::mt19937 random_;
    std::string history_;
    std::map<std::string, std::string> rows_; // by label
};

} // namespace

TEST_CASE("every backup of a random chain restores the rows of its moment", "[incremental][random]")
{
    const auto major = GENERATE(from_range(test_majors()));
    if (major < 15) {
        return;
    }
    const auto steps = number_from("PGSTRATA_RANDOM_STEPS", 5);
    const auto seed = number_from("PGSTRATA_RANDOM_SEED", 20240608) + major;
    CAPTURE(major, steps, seed);
    RandomLife life(major, seed);
    for (unsigned i = 0; i < steps; ++i) {
        life.step();
    }
    settle(life.cluster());
    life.take({"--type=incr"});
    life.check_all();
}
