// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/temporary_directory.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <string>

namespace pgstrata::test {

// What is logged as a warning or worse while it lives; the console stays silent.
class WarningLog {
public:
    WarningLog()
    {
        log::configure({.console = log::Level::off, .file = log::Level::warn});
        log::open_file(directory_ / "log");
    }
    WarningLog(const WarningLog&) = delete;
    WarningLog& operator=(const WarningLog&) = delete;
    ~WarningLog()
    {
        log::configure({});
        log::open_file("");
    }
    std::string text() const { return read_text_file(directory_ / "log"); }

private:
    TemporaryDirectory directory_;
};

} // namespace pgstrata::test
