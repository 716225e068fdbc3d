// SPDX-License-Identifier: PostgreSQL
#include "support/chain.hpp"

#include "support/data_directory_comparison.hpp"

#include <filesystem>
#include <stdexcept>

namespace pgstrata::test {

namespace {

namespace fs = std::filesystem;

constexpr const char* kFingerprint = R"(
CREATE FUNCTION pg_temp.fingerprint() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    name text;
    digest text;
    result text := '';
BEGIN
    FOR name IN SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n
        ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p'
        AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema' ORDER BY 1
    LOOP
        EXECUTE format('SELECT md5(string_agg(t::text, '','' ORDER BY t::text)) FROM %s AS t', name)
            INTO digest;
        result := result || name || ' ' || coalesce(digest, 'empty') || E'\n';
    END LOOP;
    RETURN result;
END $$;
SELECT pg_temp.fingerprint())";

// Hints where they are not logged, and what SP-GiST keeps of recently used pages: the LSN of the
// page stays. Maps change without it too, but are read.
bool is_same_but_for_hints(bool has_checksums,
                           const std::string& name,
                           std::string_view left,
                           std::string_view right)
{
    constexpr std::string_view kSpgist = "\x82\xff";
    constexpr std::size_t kLsn = 8;
    const bool is_main_fork = name.find('_', name.rfind('/') + 1) == std::string::npos;
    const bool has_lsn = left.substr(0, kLsn) != std::string(kLsn, '\0');
    return is_main_fork && has_lsn && left.substr(0, kLsn) == right.substr(0, kLsn) &&
           (!has_checksums || left.ends_with(kSpgist));
}

SiteOptions with_second(SiteOptions options, const std::string& path)
{
    options.settings.push_back("repo2-path=" + path);
    options.settings.emplace_back("repo2-retention-full=99");
    options.cluster.settings.emplace_back("autovacuum = off");
    options.cluster.settings.emplace_back("checkpoint_timeout = '1d'");
    return options;
}

} // namespace

std::string fingerprint(const Cluster& cluster, const std::string& database)
{
    return cluster.sql(kFingerprint, database);
}

void settle(const Cluster& cluster)
{
    // What a backup asks sets hint bits, which must not come between two of them.
    cluster.sql("SELECT count(*) FROM pg_database, pg_tablespace, pg_authid, pg_db_role_setting");
    cluster.sql("CHECKPOINT");
}

Chain::Chain(SiteOptions options) : site_(with_second(std::move(options), second_.path())) {}

ProcessResult Chain::backup(const std::vector<std::string>& arguments) const
{
    std::vector<std::string> all{"backup", "--repo=1", "--log-level-console=info"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return site_.run(all);
}

std::string Chain::take(const std::vector<std::string>& arguments) const
{
    const auto result = backup(arguments);
    if (result.status != 0) {
        throw std::runtime_error("backup ended with " + std::to_string(result.status) + "\n" +
                                 result.text());
    }
    return newest();
}

nlohmann::json Chain::backups() const
{
    return site_.info({"--repo=1"}).at("backup");
}

std::string Chain::newest() const
{
    const auto all = backups();
    return all.at(all.size() - 1).at("label").get<std::string>();
}

nlohmann::json Chain::summary(const std::string& label) const
{
    const auto chosen = label.empty() ? newest() : label;
    return nlohmann::json::parse(
        site_.must({"repo-get", "--repo=1", "backup/main/" + chosen + "/backup.json"}).out);
}

std::vector<std::string> Chain::restore_arguments(const std::string& label,
                                                  unsigned repository,
                                                  const std::string& target) const
{
    std::vector<std::string> all{"restore",
                                 "--repo=" + std::to_string(repository),
                                 "--pg1-path=" + target,
                                 "--tablespace-map-all=" + target + ".tablespaces",
                                 "--type=immediate",
                                 "--target-action=promote"};
    if (!label.empty()) {
        all.push_back("--set=" + label);
    }
    return all;
}

Cluster Chain::restore(const std::string& label, unsigned repository)
{
    const auto target = site_.new_path("restored");
    fs::create_directory(target);
    site_.must(restore_arguments(label, repository, target));
    return {site_.cluster().major(), target};
}

std::vector<std::string> Chain::differences_from_full(const std::vector<std::string>& full_options)
{
    std::vector<std::string> all{"backup", "--repo=2", "--type=full"};
    all.insert(all.end(), full_options.begin(), full_options.end());
    site_.must(all);
    const auto chained = restore();
    const auto full = restore({}, 2);
    ComparisonOptions options;
    // Each backup makes a checkpoint.
    options.ignored.emplace_back("global/pg_control");
    if (summary().at("change-tracking") == "summary") {
        const bool has_checksums = cluster().sql("SHOW data_checksums") == "on";
        options.is_same_page = [=](const auto& name, auto left, auto right) {
            return is_same_but_for_hints(has_checksums, name, left, right);
        };
    }
    auto differences =
        compare_data_directories(chained.data_directory(), full.data_directory(), options);
    for (const auto& directory : {chained.data_directory(), full.data_directory()}) {
        fs::remove_all(directory);
        fs::remove_all(directory + ".tablespaces");
    }
    return differences;
}

} // namespace pgstrata::test
