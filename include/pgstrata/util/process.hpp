// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pgstrata {

// Runs `command` with /bin/sh and returns its standard output, at most 64 KiB. Standard error goes
// to ours. What it leaves running in the background is not waited for. Throws Error(execute) when
// it cannot start, fails, says more or takes longer, and Error(terminated) as check_cancelled()
// does: then it is killed with all that it has started.
std::string run_shell(const std::string& command, std::uint64_t timeout_milliseconds);

// The same for a program (looked for in PATH when its name has no slash) without a shell, and
// without the variables of our environment whose names begin with one of `hidden`.
std::string run_program(const std::vector<std::string>& arguments,
                        std::uint64_t timeout_milliseconds,
                        const std::vector<std::string>& hidden = {});

// Clears the umask of this process, before other threads start; the commands that it runs have the
// one that it had.
void clear_umask() noexcept;
// Takes that back, for what a forked process becomes.
void restore_umask() noexcept;

bool is_process_alive(std::int64_t pid);
// When a process began, in clock ticks since boot; 0 when it is not there or the system does not
// tell.
std::uint64_t process_start_ticks(std::int64_t pid);
std::string host_name();
// Changes with every boot of the host; empty where the system does not tell.
std::string boot_id();
// Tells the process numbers of one container from those of another on the same host; 0 where the
// system does not tell.
std::uint64_t pid_namespace();
std::string user_name(std::uint32_t uid); // the number as text when it has no name
std::string group_name(std::uint32_t gid);
// 8 random hex digits.
std::string random_tag();
// The path of the running program.
std::string program_path();

} // namespace pgstrata
