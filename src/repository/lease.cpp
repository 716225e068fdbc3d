// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/lease.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/process.hpp"

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace pgstrata::repository {

namespace {

nlohmann::json describe_holder()
{
    return {
        {"host", host_name()},
        {"boot-id", boot_id()},
        {"pid", static_cast<std::uint64_t>(::getpid())},
        {"pid-started", process_start_ticks(::getpid())},
        {"pid-namespace", pid_namespace()},
        {"renewed", static_cast<std::uint64_t>(now_seconds())},
    };
}

class HeldLease final : public Lease {
public:
    HeldLease(const Repository& repository, std::string stanza, std::string label, unsigned turn)
        : repository_(repository), stanza_(std::move(stanza)), label_(std::move(label)),
          turn_(turn), path_(lease_path(stanza_, label_, turn)),
          renewer_([this](const std::stop_token& token) { renew(token); })
    {
    }

    bool is_held() const override { return find_lease_turn(repository_, stanza_, label_) == turn_; }
    bool is_lost() const noexcept override { return is_lost_; }

    void release() override
    {
        stop_renewing();
        std::vector<unsigned> earlier;
        repository_.storage().list(backup_path(stanza_, label_),
                                   [&](const storage::EntryInfo& entry) {
                                       const auto turn = parse_lease_name(entry.name);
                                       if (turn && *turn < turn_) {
                                           earlier.push_back(*turn);
                                       }
                                   });
        for (const unsigned turn : earlier) {
            repository_.storage().remove(lease_path(stanza_, label_, turn));
        }
        repository_.storage().remove(path_);
    }

    void give_up() override
    {
        stop_renewing();
        repository_.storage().remove(path_);
    }

private:
    void stop_renewing()
    {
        renewer_.request_stop();
        if (renewer_.joinable()) {
            renewer_.join();
        }
    }

    void renew(const std::stop_token& token)
    {
        std::unique_lock lock(wait_mutex_);
        while (!wait_.wait_for(
            lock, token, std::chrono::seconds(kLeaseRenewSeconds), [] { return false; })) {
            if (token.stop_requested()) {
                return;
            }
            try {
                if (!is_held()) {
                    is_lost_ = true;
                    log::warn("the lease of this backup was taken over by somebody else");
                    return;
                }
                repository_.write_document(path_, describe_holder(), storage::WriteMode::replace);
            } catch (const Error& error) {
                log::warn("unable to renew the lease of this backup: {}", error.what());
            }
        }
    }

    const Repository& repository_;
    std::string stanza_;
    std::string label_;
    unsigned turn_;
    std::string path_;
    std::atomic<bool> is_lost_ = false;
    std::mutex wait_mutex_;
    std::condition_variable_any wait_;
    std::jthread renewer_; // last: it uses the members above
};

// Whether its process number means the same process here.
bool is_of_this_host(const LeaseInfo& lease)
{
    return lease.host == host_name() && !lease.boot_id.empty() && lease.boot_id == boot_id() &&
           lease.pid_namespace != 0 && lease.pid_namespace == pid_namespace();
}

} // namespace

bool is_alive(const LeaseInfo& lease, UnixSeconds now)
{
    const bool is_fresh = now - lease.renewed < kLeaseLifeSeconds;
    if (!is_of_this_host(lease)) {
        return is_fresh;
    }
    if (!is_process_alive(lease.pid)) {
        return false;
    }
    const std::uint64_t started = process_start_ticks(lease.pid);
    // The system may hide the processes of other users.
    const bool is_known = started != 0 && lease.pid_started != 0;
    return is_known ? started == lease.pid_started : is_fresh;
}

std::unique_ptr<Lease>
Lease::claim(const Repository& repository, std::string stanza, std::string label, unsigned turn)
{
    if (turn >= kLeaseTurnLimit) {
        raise(ErrorCode::format, "backup '{}' has a lease of an impossible turn", label);
    }
    try {
        repository.write_document(lease_path(stanza, label, turn), describe_holder());
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_exists) {
            return nullptr;
        }
        throw;
    }
    return std::make_unique<HeldLease>(repository, std::move(stanza), std::move(label), turn);
}

std::optional<unsigned>
find_lease_turn(const Repository& repository, std::string_view stanza, std::string_view label)
{
    std::optional<unsigned> newest;
    repository.storage().list(backup_path(stanza, label), [&](const storage::EntryInfo& entry) {
        newest = std::max(newest, parse_lease_name(entry.name));
    });
    return newest;
}

std::optional<LeaseInfo>
read_lease(const Repository& repository, std::string_view stanza, std::string_view label)
{
    const auto turn = find_lease_turn(repository, stanza, label);
    if (!turn) {
        return std::nullopt;
    }
    const std::string path = lease_path(stanza, label, *turn);
    nlohmann::json document;
    try {
        document = repository.read_document(path);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_missing) {
            return std::nullopt;
        }
        throw;
    }
    LeaseInfo lease;
    lease.turn = *turn;
    lease.host = document_text(document, "host", path);
    lease.boot_id = document_text(document, "boot-id", path);
    lease.pid = static_cast<std::int64_t>(document_number(document, "pid", path));
    lease.pid_started = document_number(document, "pid-started", path);
    lease.renewed = static_cast<UnixSeconds>(document_number(document, "renewed", path));
    if (document.contains("pid-namespace")) {
        lease.pid_namespace = document_number(document, "pid-namespace", path);
    }
    return lease;
}

} // namespace pgstrata::repository
