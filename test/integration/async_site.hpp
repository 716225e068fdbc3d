// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/site.hpp"

#include <filesystem>
#include <set>

// What the tests of archive-async look at.
namespace pgstrata::test {

inline SiteOptions asynchronous(std::vector<std::string> settings = {})
{
    SiteOptions options;
    options.cluster.wal_segment_mb = 1;
    options.settings = std::move(settings);
    options.settings.emplace_back("archive-async=y");
    return options;
}

inline std::string spool(const Site& site, const std::string& name)
{
    return site.path("spool/archive/main/" + name);
}

// The process in the background; 0 when there is none.
inline pid_t background_process(const Site& site)
{
    const auto lock = site.path("lock/main-archive-1.lock");
    try {
        return nlohmann::json::parse(read_file(lock)).at("pid").get<pid_t>();
    } catch (const std::exception&) {
        return 0;
    }
}

// The WAL files in the archive, each as often as it is there.
inline std::multiset<std::string> archived(const Site& site)
{
    std::multiset<std::string> names;
    for (const auto& object : site.objects("archive/")) {
        const auto name = std::filesystem::path(object).filename().string();
        if (name.size() > 40 && name.find('-') == 24) {
            names.insert(name.substr(0, 24));
        }
    }
    return names;
}

inline void make_wal(Site& site, int segments)
{
    for (int i = 0; i < segments; ++i) {
        site.cluster().sql("SELECT pg_logical_emit_message(true, 'x', repeat('y', 900000))");
        site.cluster().sql("SELECT pg_switch_wal()");
    }
}

inline std::size_t waiting(Site& site)
{
    std::size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(site.cluster().path("pg_wal/archive_status"))) {
        count += entry.path().extension() == ".ready" ? 1U : 0U;
    }
    return count;
}

inline void wait_until_archived(Site& site)
{
    wait_until("the archiver has nothing to do", [&] { return waiting(site) == 0; });
}

// Also one that was started and has not yet got as far as to its lock.
inline bool has_background_process(const Site& site)
{
    if (background_process(site) != 0) {
        return true;
    }
    for (const auto& process : std::filesystem::directory_iterator("/proc")) {
        try {
            const auto command = read_file((process.path() / "cmdline").string());
            if (command.find(site.configuration()) != std::string::npos &&
                command.find(":async") != std::string::npos) {
                return true;
            }
        } catch (const std::exception&) {
            continue; // not a process, or one that has ended
        }
    }
    return false;
}

inline void wait_until_idle(const Site& site)
{
    wait_until("the end of the process in the background",
               [&] { return !has_background_process(site); });
}

// Nothing waits, and nobody is left who archives.
inline void stop_archiving(Site& site)
{
    wait_until_archived(site);
    site.set_archiving(false);
    wait_until_idle(site);
}

// The segment that the archiver takes next. Archiving is off: it has failed with that one, so the
// one before was not still on its way.
inline std::string first_waiting(Site& site)
{
    std::string name;
    wait_until("the archiver to fail", [&] {
        const auto mark = site.cluster().sql(
            "SELECT min(name) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'");
        name = mark.substr(0, mark.size() - std::string(".ready").size());
        return site.cluster().sql("SELECT last_failed_wal FROM pg_stat_archiver") == name;
    });
    return name;
}

inline void set_permissions(const std::string& path, unsigned mode)
{
    std::filesystem::permissions(path, std::filesystem::perms(mode));
}

inline std::string log_text(const Site& site, const std::string& name)
{
    const auto path = site.path("log/" + name);
    return std::filesystem::exists(path) ? read_file(path) : std::string();
}

// The name of the segment that is written now: it gets archived next.
inline std::string current_segment(Site& site)
{
    return site.cluster().sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())");
}

} // namespace pgstrata::test
