// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include "support/swift.hpp"

#include "pgstrata/storage/storage.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <stdexcept>

namespace pgstrata::test {

namespace fs = std::filesystem;

std::string program_under_test()
{
    const char* chosen = std::getenv("PGSTRATA_BINARY");
    const auto path = fs::absolute(chosen != nullptr ? chosen : PGSTRATA_DEFAULT_BINARY).string();
    if (::access(path.c_str(), X_OK) != 0) {
        throw std::runtime_error("cannot execute the program under test, " + path);
    }
    return path;
}

std::vector<Place> places()
{
    std::vector<Place> result{{}};
    if (const Swift* swift = Swift::get()) {
        result.push_back({"bucket", swift->repository(1), [swift](const std::string& root) {
                              return swift->open(root);
                          }});
    }
    return result;
}

Site::~Site() = default;

Site::Site(const SiteOptions& options)
    : repository_(options.repository.empty() ? path("repository") : options.repository),
      cluster_(options.cluster)
{
    std::vector<std::string> lines = options.settings;
    lines.insert(lines.end(), options.place.settings.begin(), options.place.settings.end());
    if (options.place.open) {
        bucket_ = options.place.open(repository_);
    }
    for (const auto* name : {"log", "lock", "spool"}) {
        fs::create_directory(path(name));
    }
    fs::create_directories(repository_);

    std::ostringstream text;
    text << "[global]\nrepo1-path=" << repository_
         << "\nrepo1-retention-full=9\nlog-path=" << path("log") << "\nlock-path=" << path("lock")
         << "\nspool-path=" << path("spool")
         << "\nlog-level-file=detail\nstart-fast=y\nprocess-max=2\narchive-timeout=40s\n";
    if (!options.cipher.empty()) {
        text << "repo1-cipher-type=" << options.cipher << "\nrepo1-cipher-pass=" << options.secret
             << "\n";
    }
    for (const auto& line : lines) {
        text << line << "\n";
    }
    text << "\n[main]\npg1-path=" << cluster_.data_directory() << "\npg1-port=" << cluster_.port()
         << "\npg1-socket-path=" << cluster_.socket_directory() << "\n";
    write_file(configuration(), text.str());

    cluster_.add_setting("archive_mode = on");
    cluster_.add_setting("archive_command = 'test ! -e " + path("no-archiving") + " && exec " +
                         program_under_test() + " --config=" + configuration() +
                         " --stanza=main archive-push %p'");
    if (options.is_ready) {
        cluster_.start();
        must({"stanza-create"});
    }
}

void Site::set_archiving(bool is_on) const
{
    if (!is_on) {
        write_file(path("no-archiving"), "");
        return;
    }
    std::filesystem::remove(path("no-archiving"));
    cluster_.sql("SELECT pg_reload_conf()"); // wakes the archiver
}

Arguments Site::command_line(const std::vector<std::string>& arguments) const
{
    Arguments all{program_under_test(), "--config=" + configuration(), "--stanza=main"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
}

ProcessResult Site::run(const std::vector<std::string>& arguments,
                        const ProcessOptions& options) const
{
    return run_process(command_line(arguments), options);
}

ProcessResult Site::must(const std::vector<std::string>& arguments) const
{
    return run_or_throw(command_line(arguments));
}

BackgroundProcess Site::start(const std::vector<std::string>& arguments) const
{
    return BackgroundProcess(command_line(arguments));
}

std::string Site::backup(const std::vector<std::string>& arguments) const
{
    std::vector<std::string> all{"backup"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    must(all);
    const auto all_labels = labels();
    return all_labels.at(all_labels.size() - 1);
}

nlohmann::json Site::info(const std::vector<std::string>& arguments) const
{
    std::vector<std::string> all{"info", "--output=json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return nlohmann::json::parse(must(all).out).at(0);
}

std::vector<std::string> Site::labels() const
{
    std::vector<std::string> result;
    const auto stanza = info();
    for (const auto& backup : stanza.at("backup")) {
        result.push_back(backup.at("label").get<std::string>());
    }
    return result;
}

std::string Site::new_path(const std::string& name)
{
    return path(name + "-" + std::to_string(++names_));
}

Cluster Site::restore(const std::vector<std::string>& arguments)
{
    const auto target = new_path("restored");
    std::vector<std::string> all{"restore", "--pg1-path=" + target};
    all.insert(all.end(), arguments.begin(), arguments.end());
    fs::create_directory(target);
    must(all);
    return Cluster(cluster_.major(), target);
}

std::vector<std::string> Site::objects(const std::string& part) const
{
    std::vector<std::string> result;
    if (bucket_) {
        storage::list_recursively(*bucket_, "", [&](const storage::EntryInfo& entry) {
            if (entry.name.find(part) != std::string::npos) {
                result.push_back(entry.name);
            }
        });
        return result;
    }
    for (const auto& entry : fs::recursive_directory_iterator(repository_)) {
        const auto name = fs::relative(entry.path(), repository_).string();
        if (entry.is_regular_file() && !entry.is_symlink() &&
            name.find(part) != std::string::npos) {
            result.push_back(name);
        }
    }
    std::sort(result.begin(), result.end());
    return result;
}

std::string Site::read_object(const std::string& path) const
{
    constexpr std::size_t kLimit = std::size_t{1} << 30U;
    return bucket_ ? std::string(as_text(storage::read_file(*bucket_, path, kLimit)))
                   : read_file(repository_ + "/" + path);
}

void Site::replace_object(const std::string& path, const std::string& text) const
{
    if (bucket_) {
        storage::write_file(*bucket_, path, as_bytes(text), storage::WriteMode::replace);
    } else {
        fs::create_directories(fs::path(repository_ + "/" + path).parent_path());
        write_file(repository_ + "/" + path, text);
    }
}

void Site::remove_object(const std::string& path) const
{
    if (bucket_) {
        bucket_->remove(path);
    } else {
        fs::remove(repository_ + "/" + path);
    }
}

} // namespace pgstrata::test
