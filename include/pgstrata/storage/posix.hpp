// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"

namespace pgstrata::storage {

struct PosixOptions {
    std::string root; // absolute
    unsigned file_mode = 0640;
    unsigned directory_mode = 0750;
};

// A directory of a local or mounted filesystem. A file is written without a name (O_TMPFILE) and
// linked when it is durable; where the filesystem cannot do that, under a temporary name that ends
// in
// ".pgstrata.tmp" and that list() leaves out. Links inside the root are never followed when
// writing.
std::unique_ptr<Storage> make_posix_storage(PosixOptions options);

} // namespace pgstrata::storage
