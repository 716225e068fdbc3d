// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/session.hpp"
#include "pgstrata/util/error.hpp"

#include <functional>
#include <map>
#include <string>

namespace pgstrata::test {

// A server that says what the test wants.
class FakeSession final : public postgres::Session {
public:
    unsigned major() const override { return version; }
    std::string setting(std::string_view name) override { return settings[std::string(name)]; }
    bool is_in_recovery() override { return in_recovery; }
    std::uint64_t system_identifier() override { return system_id; }
    postgres::Timeline timeline() override { return 1; }
    std::vector<postgres::DatabaseInfo> databases() override
    {
        return {{1, "template1", true, true}, {5, "postgres", false, true}};
    }
    std::vector<postgres::TablespaceInfo> tablespaces() override { return {{16400, "fast"}}; }
    postgres::Lsn current_lsn() override { return current; }
    postgres::ArchiverStatus archiver_status() override
    {
        if (is_gone) {
            raise(ErrorCode::db_query, "the connection is gone");
        }
        return archiver;
    }
    postgres::SummarizerState summarizer_state() override
    {
        if (on_summarizer) {
            on_summarizer();
        }
        return summarizer;
    }
    void checkpoint() override { ++checkpoints; }
    postgres::BackupStart start_backup(const std::string&, bool) override
    {
        ++started;
        return {start, 1, "", 0};
    }
    postgres::BackupStop stop_backup() override
    {
        ++stopped;
        if (on_stop) {
            on_stop();
        }
        return {stop, 1, "START WAL LOCATION: 0/300028\n", "", 0};
    }
    std::string switch_wal() override { return "000000010000000000000003"; }
    postgres::Lsn create_restore_point(const std::string&) override { return current; }
    void cancel() noexcept override {}

    unsigned version = 15;
    std::map<std::string, std::string> settings;
    bool in_recovery = false;
    bool is_gone = false;
    std::uint64_t system_id = 7000000000000000001U;
    postgres::Lsn current{0x300010};
    postgres::Lsn start{0x300028};
    postgres::Lsn stop{0x300100};
    postgres::ArchiverStatus archiver;
    postgres::SummarizerState summarizer;
    std::function<void()> on_summarizer; // before each answer
    std::function<void()> on_stop;
    int checkpoints = 0;
    int started = 0;
    int stopped = 0;
};

} // namespace pgstrata::test
