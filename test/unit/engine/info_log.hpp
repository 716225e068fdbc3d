// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/log/log.hpp"

#include <string>

namespace pgstrata::test {

// What expire logs while it lives.
class InfoLog {
public:
    InfoLog()
    {
        log::configure({.console = log::Level::off, .file = log::Level::info});
        log::open_file(directory_ / "log");
    }
    InfoLog(const InfoLog&) = delete;
    InfoLog& operator=(const InfoLog&) = delete;
    ~InfoLog()
    {
        log::configure({});
        log::open_file("");
    }
    std::string text() const { return read_text_file(directory_ / "log"); }

private:
    TemporaryDirectory directory_;
};

} // namespace pgstrata::test
