// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/process.hpp"
#include "support/temporary_directory.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pgstrata::test {

inline constexpr std::size_t kServerPage = 8192;
inline constexpr std::uint64_t kMebibyte = 1 << 20;

// The majors that the tests cover and this machine has; PGSTRATA_TEST_MAJORS=15,17 narrows them.
std::vector<unsigned> test_majors();
// A program of the server of one major ("initdb"), or of Debian's client ("psql") for those others
// lack.
std::string server_program(unsigned major, const std::string& name);
std::string client_program(const std::string& name);

struct ClusterOptions {
    unsigned major = 15;
    bool checksums = true;
    unsigned wal_segment_mb = 16;
    bool durable = false;              // fsync on
    bool own_identity = false;         // a system identifier that no other cluster of the run has
    std::vector<std::string> settings; // lines of postgresql.conf
};

enum class Shutdown { fast, immediate };

// A throwaway server on a unix socket. Stopped when destroyed.
class Cluster {
public:
    // A new data directory, not started. initdb runs once for each kind of cluster, the rest are
    // copies.
    explicit Cluster(const ClusterOptions& options);
    // A server over the data directory that a restore made, with a socket of its own and archiving
    // off unless it is to take the place of the old server.
    enum class Archiving { off, as_configured };
    Cluster(unsigned major, std::string data_directory, Archiving archiving = Archiving::off);
    Cluster(Cluster&&) = default;
    Cluster& operator=(Cluster&&) = delete;
    ~Cluster();

    unsigned major() const { return major_; }
    unsigned port() const { return 50000 + major_; }
    const std::string& data_directory() const { return data_directory_; }
    const std::string& socket_directory() const { return base_->path(); }
    std::string path(const std::string& name) const { return data_directory_ + "/" + name; }
    void add_setting(const std::string& line) const;

    // Throws with the end of the server's log when it does not come up; returns when it takes
    // connections.
    void start();
    // Whether it came up; false once the server has given up.
    bool try_start();
    void stop(Shutdown how = Shutdown::fast);
    void restart();
    // kill -9 of the server and all that it started.
    void kill();
    bool is_running();
    // Recovery has ended and writes are possible.
    void wait_until_promoted();
    // Starts it and waits for that.
    void recover();

    // Rows separated by newlines, columns by '|', without the last newline. Throws on an error.
    std::string sql(const std::string& text, const std::string& database = "postgres") const;
    ProcessResult try_sql(const std::string& text, const std::string& database = "postgres") const;
    // Environment that makes libpq programs find the server.
    std::map<std::string, std::string> connection() const;
    ProcessResult run_client(const std::string& program,
                             const std::vector<std::string>& arguments) const;
    // Fills the tables of pgbench.
    void load_pgbench(unsigned scale) const;
    BackgroundProcess start_pgbench(unsigned seconds) const;
    // Ends the current WAL segment and waits until it is archived; returns its name.
    std::string archive_current_segment() const;

    // Everything the server has logged.
    std::string log() const;
    // Every page of the stopped cluster, with pg_checksums. False after report_skip() when there is
    // none.
    bool verify_checksums() const;
    // Every index and heap of the running cluster, with pg_amcheck. False as above.
    bool verify_structures() const;

private:
    std::string log_file() const { return *base_ / "server.log"; }
    std::string server_state() const;

    unsigned major_;
    std::unique_ptr<TemporaryDirectory> base_;
    std::string data_directory_;
    std::vector<std::string> overrides_;
    std::unique_ptr<BackgroundProcess> server_;
};

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text);
// Changes one byte in place; `offset` from the end when negative.
void flip_byte(const std::string& path, std::int64_t offset);

} // namespace pgstrata::test
