// SPDX-License-Identifier: PostgreSQL
#include "support/cluster.hpp"

#include "support/tester.hpp"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace pgstrata::test {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr unsigned kDebianMajor = 15;

// The template data directory of one kind of cluster, made at the first call.
std::string template_directory(const ClusterOptions& options)
{
    static std::map<std::string, std::unique_ptr<TemporaryDirectory>> templates;
    const auto key = std::to_string(options.major) +
                     (options.checksums ? "-checksums-" : "-plain-") +
                     std::to_string(options.wal_segment_mb);
    auto& directory = templates[key];
    if (directory == nullptr) {
        directory = std::make_unique<TemporaryDirectory>();
    }
    return *directory / "data";
}

void run_initdb(const ClusterOptions& options, const std::string& directory)
{
    Arguments arguments{server_program(options.major, "initdb"),
                        "--pgdata=" + directory,
                        "--username=postgres",
                        "--auth=trust",
                        "--encoding=UTF8",
                        "--locale=C",
                        "--no-sync",
                        "--wal-segsize=" + std::to_string(options.wal_segment_mb)};
    if (options.checksums) {
        arguments.push_back("--data-checksums");
    } else if (options.major >= 18) {
        arguments.push_back("--no-data-checksums");
    }
    run_or_throw(arguments);
}

std::vector<pid_t> children_of(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) +
                       "/children");
    std::vector<pid_t> result;
    for (pid_t child = 0; file >> child;) {
        result.push_back(child);
    }
    return result;
}

std::string last_lines(const std::string& text, std::size_t size = 4000)
{
    return text.size() > size ? text.substr(text.size() - size) : text;
}

} // namespace

std::string read_file(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error("cannot read " + path);
    }
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void write_file(const std::string& path, const std::string& text)
{
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file) {
        throw std::runtime_error("cannot write " + path);
    }
}

void flip_byte(const std::string& path, std::int64_t offset)
{
    auto text = read_file(path);
    const auto at = static_cast<std::size_t>(
        offset < 0 ? offset + static_cast<std::int64_t>(text.size()) : offset);
    text.at(at) = static_cast<char>(text.at(at) ^ 0x40);
    fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
    write_file(path, text);
}

std::string server_program(unsigned major, const std::string& name)
{
    return (major == kDebianMajor ? "/usr/lib/postgresql/15/bin/"
                                  : "/opt/pg" + std::to_string(major) + "/bin/") +
           name;
}

std::string client_program(const std::string& name)
{
    return server_program(kDebianMajor, name);
}

std::vector<unsigned> test_majors()
{
    const char* wanted = std::getenv("PGSTRATA_TEST_MAJORS");
    std::vector<unsigned> result;
    for (const unsigned major : {14U, 15U, 17U, 18U}) {
        if (wanted != nullptr &&
            std::string(wanted).find(std::to_string(major)) == std::string::npos) {
            continue;
        }
        if (!fs::exists(server_program(major, "postgres"))) {
            report_skip("PostgreSQL " + std::to_string(major) +
                        " is not installed (scripts/setup.sh)");
            continue;
        }
        result.push_back(major);
    }
    return result;
}

Cluster::Cluster(const ClusterOptions& options)
    : major_(options.major), base_(std::make_unique<TemporaryDirectory>()),
      data_directory_(*base_ / "data")
{
    if (options.own_identity) {
        run_initdb(options, data_directory_);
    } else {
        const auto source = template_directory(options);
        if (!fs::exists(source)) {
            run_initdb(options, source);
        }
        run_or_throw({"/bin/cp", "-a", source, data_directory_});
    }
    add_setting("listen_addresses = ''");
    add_setting("unix_socket_directories = '" + socket_directory() + "'");
    add_setting("port = " + std::to_string(port()));
    add_setting("timezone = 'UTC'");
    add_setting("log_timezone = 'UTC'");
    add_setting("log_line_prefix = '%m [%p] '");
    add_setting("shared_buffers = '32MB'");
    add_setting("max_connections = 20");
    add_setting(std::string("fsync = ") + (options.durable ? "on" : "off"));
    std::for_each(options.settings.begin(), options.settings.end(), [&](const auto& line) {
        add_setting(line);
    });
}

Cluster::Cluster(unsigned major, std::string data_directory, Archiving archiving)
    : major_(major), base_(std::make_unique<TemporaryDirectory>()),
      data_directory_(std::move(data_directory)), overrides_{"-c",
                                                             "unix_socket_directories=" +
                                                                 socket_directory()}
{
    if (archiving == Archiving::off) {
        overrides_.insert(overrides_.end(), {"-c", "archive_mode=off"});
    }
}

Cluster::~Cluster()
{
    try {
        if (server_ != nullptr) {
            stop(Shutdown::immediate);
        }
    } catch (const std::exception&) {
        server_.reset(); // kills it
    }
}

void Cluster::add_setting(const std::string& line) const
{
    std::ofstream(path("postgresql.conf"), std::ios::app) << line << "\n";
}

// The word that the server keeps in the last line of its lock file: starting, stopping, ready,
// standby.
std::string Cluster::server_state() const
{
    std::ifstream file(path("postmaster.pid"));
    std::string line;
    std::string state;
    for (int number = 1; std::getline(file, line); ++number) {
        if (number == 1 && line != std::to_string(server_->pid())) {
            return {};
        }
        if (number == 8) {
            state = line.substr(0, line.find_last_not_of(' ') + 1);
        }
    }
    return state;
}

bool Cluster::try_start()
{
    Arguments arguments{server_program(major_, "postgres"), "-D", data_directory_};
    arguments.insert(arguments.end(), overrides_.begin(), overrides_.end());
    server_ = std::make_unique<BackgroundProcess>(arguments,
                                                  ProcessOptions{.environment = {},
                                                                 .timeout = 60s,
                                                                 .directory = data_directory_,
                                                                 .output_file = log_file(),
                                                                 .death_signal = SIGQUIT});
    const auto is_decided = [&] {
        const auto state = server_state();
        return state == "ready" || state == "standby" || !server_->is_running();
    };
    wait_until("the server's start; its log:\n" + last_lines(log()), is_decided, 90s);
    if (!server_->is_running()) {
        server_.reset();
        return false;
    }
    return true;
}

void Cluster::start()
{
    if (!try_start()) {
        throw std::runtime_error("the server did not start; its log:\n" + last_lines(log()));
    }
}

void Cluster::stop(Shutdown how)
{
    if (server_ != nullptr) {
        server_->signal(how == Shutdown::fast ? SIGINT : SIGQUIT);
        server_->wait();
        server_.reset();
    }
}

void Cluster::restart()
{
    stop();
    start();
}

void Cluster::kill()
{
    // Its children hold the shared memory: the server cannot start again before they are gone.
    const auto children = children_of(server_->pid());
    server_->signal(SIGKILL);
    server_->wait();
    std::for_each(children.begin(), children.end(), [](pid_t child) { ::kill(child, SIGKILL); });
    wait_until("the end of the killed server's processes", [&] {
        return std::none_of(
            children.begin(), children.end(), [](pid_t child) { return ::kill(child, 0) == 0; });
    });
    server_.reset();
}

bool Cluster::is_running()
{
    return server_ != nullptr && server_->is_running();
}

void Cluster::wait_until_promoted()
{
    wait_until("the end of recovery", [&] {
        if (!is_running()) {
            throw std::runtime_error("the server ended during recovery; its log:\n" +
                                     last_lines(log()));
        }
        return try_sql("SELECT pg_is_in_recovery()").out == "f\n";
    });
}

void Cluster::recover()
{
    start();
    wait_until_promoted();
}

std::map<std::string, std::string> Cluster::connection() const
{
    return {{"PGHOST", socket_directory()},
            {"PGPORT", std::to_string(port())},
            {"PGUSER", "postgres"},
            {"PGDATABASE", "postgres"}};
}

ProcessResult Cluster::run_client(const std::string& program,
                                  const std::vector<std::string>& arguments) const
{
    Arguments all{client_program(program)};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_or_throw(all, {.environment = connection()});
}

ProcessResult Cluster::try_sql(const std::string& text, const std::string& database) const
{
    return run_process(
        {client_program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text},
        {.environment = connection()});
}

std::string Cluster::sql(const std::string& text, const std::string& database) const
{
    auto result = try_sql(text, database);
    if (result.status != 0) {
        throw std::runtime_error(text + "\n" + result.text());
    }
    while (!result.out.empty() && result.out.back() == '\n') {
        result.out.pop_back();
    }
    return result.out;
}

void Cluster::load_pgbench(unsigned scale) const
{
    run_client("pgbench", {"-i", "-q", "-s", std::to_string(scale)});
}

BackgroundProcess Cluster::start_pgbench(unsigned seconds) const
{
    return BackgroundProcess(
        {client_program("pgbench"), "-n", "-c", "2", "-T", std::to_string(seconds)},
        {.environment = connection()});
}

std::string Cluster::archive_current_segment() const
{
    // The switch does nothing in a segment without a record.
    const auto segment = sql("SELECT pg_walfile_name(pg_create_restore_point('end of segment'))");
    sql("SELECT pg_switch_wal()");
    wait_until("the archiving of " + segment, [&] {
        return sql("SELECT coalesce(max(last_archived_wal) >= '" + segment +
                   "', false) FROM pg_stat_archiver") == "t";
    });
    return segment;
}

std::string Cluster::log() const
{
    return fs::exists(log_file()) ? read_file(log_file()) : std::string();
}

bool Cluster::verify_checksums() const
{
    const auto program = server_program(major_, "pg_checksums");
    if (!fs::exists(program)) {
        report_skip("page checksums of PostgreSQL " + std::to_string(major_) +
                    ": it has no pg_checksums");
        return false;
    }
    run_or_throw({program, "--check", "-D", data_directory_});
    return true;
}

bool Cluster::verify_structures() const
{
    if (!fs::exists(server_program(major_, "pg_amcheck"))) {
        report_skip("pg_amcheck of PostgreSQL " + std::to_string(major_) + ": it has none");
        return false;
    }
    run_client("pg_amcheck", {"--all", "--install-missing", "--heapallindexed"});
    return true;
}

} // namespace pgstrata::test
