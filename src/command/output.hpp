// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/stream.hpp"

#include <string_view>

namespace pgstrata::command {

// The standard output for what a command is asked for. When nobody reads any more the rest is
// dropped without an error; everything else that keeps bytes from being written throws
// Error(file_write).
class OutputSink final : public Sink {
public:
    void write(ByteView bytes) override;
    // False once the reader has gone, so that there is no point in going on.
    bool has_reader() const noexcept { return has_reader_; }

private:
    bool has_reader_ = true;
};

void print(std::string_view text);
// The same of text for people: with what a terminal could take for a command as bytes.
void print_printable(std::string_view text);

} // namespace pgstrata::command
