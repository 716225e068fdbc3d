// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/process.hpp"

#include <string>

namespace pgstrata::test {

struct TlsFiles {
    std::string certificate; // PEM; empty for plain http
    std::string key;
};

// A self-signed certificate in `directory`.
inline TlsFiles
make_certificate(const std::string& directory,
                 const std::string& names = "DNS:localhost,DNS:*.localhost,IP:127.0.0.1")
{
    TlsFiles files{directory + "/server.crt", directory + "/server.key"};
    run_or_throw({"/usr/bin/openssl",
                  "req",
                  "-x509",
                  "-newkey",
                  "rsa:2048",
                  "-nodes",
                  "-days",
                  "2",
                  "-subj",
                  "/CN=localhost",
                  "-addext",
                  "subjectAltName=" + names,
                  "-keyout",
                  files.key,
                  "-out",
                  files.certificate});
    return files;
}

} // namespace pgstrata::test
