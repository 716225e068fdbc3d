// SPDX-License-Identifier: PostgreSQL
#include "support/swift.hpp"

#include "support/certificate.hpp"
#include "support/process.hpp"
#include "support/temporary_directory.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <stdexcept>

namespace pgstrata::test {

namespace {

constexpr unsigned kPorts = 6;

bool is_free(unsigned port)
{
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_bound =
        ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return is_bound;
}

// Several test programs may look for ports at the same time, so each begins somewhere else.
unsigned free_ports()
{
    constexpr unsigned kLowest = 20000;
    constexpr unsigned kRange = 10000;
    for (unsigned i = 0; i < kRange; i += kPorts) {
        const unsigned first = kLowest + (static_cast<unsigned>(::getpid()) * kPorts + i) % kRange;
        bool are_free = true;
        for (unsigned port = first; port < first + kPorts; ++port) {
            are_free = are_free && is_free(port);
        }
        if (are_free) {
            return first;
        }
    }
    throw std::runtime_error("no free ports for Swift");
}

bool is_installed()
{
    constexpr const char* kCheck = "command -v memcached && /usr/bin/python3 -c 'import swift'";
    return run_process({"/bin/sh", "-c", kCheck}).status == 0;
}

// Runs as long as the test program.
class Server {
public:
    Server() : port_(free_ports())
    {
        const auto certificate = make_certificate(directory_.path());
        process_ = std::make_unique<BackgroundProcess>(
            Arguments{PGSTRATA_START_SWIFT,
                      directory_.path(),
                      std::to_string(port_),
                      certificate.certificate,
                      certificate.key},
            ProcessOptions{.output_file = directory_ / "output"});
        wait_until(
            "Swift",
            [&] {
                return std::filesystem::exists(directory_ / "ready") || !process_->is_running();
            },
            std::chrono::seconds(120));
        if (!process_->is_running()) {
            throw std::runtime_error("Swift does not start; see " + (directory_ / "output"));
        }
        description_ = {port_, port_ + 1, certificate.certificate};
    }
    const Swift& description() const { return description_; }

private:
    TemporaryDirectory directory_;
    unsigned port_;
    std::unique_ptr<BackgroundProcess> process_;
    Swift description_;
};

} // namespace

const Swift* Swift::get()
{
    static const bool kIsInstalled = [] {
        const bool is_there = is_installed();
        if (!is_there) {
            std::cerr
                << "\n##### SKIPPED: tests with a real S3 server: python3-swift and memcached "
                   "are not installed #####\n"
                << std::endl;
        }
        return is_there;
    }();
    if (!kIsInstalled) {
        return nullptr;
    }
    static const Server kServer;
    return &kServer.description();
}

} // namespace pgstrata::test
