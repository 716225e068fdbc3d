// SPDX-License-Identifier: PostgreSQL
#include "command/output.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/printable.hpp"

#include <unistd.h>

#include <cerrno>

namespace pgstrata::command {

void OutputSink::write(ByteView bytes)
{
    while (has_reader_ && !bytes.empty()) {
        const ssize_t count = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
        if (count >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        } else if (errno == EPIPE) {
            has_reader_ = false;
        } else if (errno != EINTR) {
            raise_errno(ErrorCode::file_write, errno, "write to the standard output");
        }
    }
}

void print(std::string_view text)
{
    OutputSink().write(as_bytes(text));
}

void print_printable(std::string_view text)
{
    print(make_printable(text));
}

} // namespace pgstrata::command
