// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/temporary_directory.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <string>

namespace pgstrata::test {

// What is logged at a level or worse while it lives; the console stays silent.
class RecordedLog {
public:
    explicit RecordedLog(log::Level level)
    {
        log::configure({.console = log::Level::off, .file = level});
        log::open_file(directory_ / "log");
    }
    RecordedLog(const RecordedLog&) = delete;
    RecordedLog& operator=(const RecordedLog&) = delete;
    ~RecordedLog()
    {
        log::configure({});
        log::open_file("");
    }
    std::string text() const { return read_text_file(directory_ / "log"); }

private:
    TemporaryDirectory directory_;
};

class WarningLog : public RecordedLog {
public:
    WarningLog() : RecordedLog(log::Level::warn) {}
};

class InfoLog : public RecordedLog {
public:
    InfoLog() : RecordedLog(log::Level::info) {}
};

} // namespace pgstrata::test
