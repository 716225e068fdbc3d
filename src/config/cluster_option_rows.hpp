// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "config/option_rows.hpp"

#include <array>

namespace pgstrata::config::rows {

// Options of a cluster: "pg-path" is pg1-path, pg2-path ...
// clang-format off
inline constexpr std::array kClusterRows = {
    string("pg-database", kConnects, "postgres",
        "Database to connect to for control queries.").in_stanza().depends("pg-path"),
    string("pg-host", kDataDirectory, "",
        "Host of the cluster; without it the cluster is on this host.").in_stanza()
        .internal_for(on(archive_get, archive_push, restore)).old("db-host,db?-host").depends("pg-local=n")
        .refused(),
    string("pg-host-ca-file", kClusterHost, "",
        "CA bundle used to verify the cluster host TLS server.").depends("pg-host-type=tls").refused(),
    string("pg-host-ca-path", kClusterHost, "",
        "CA directory used to verify the cluster host TLS server.").depends("pg-host-type=tls").refused(),
    string("pg-host-cert-file", kClusterHost, "",
        "Client certificate presented to the cluster host TLS server.").required()
        .depends("pg-host-type=tls").refused(),
    string("pg-host-cmd", kClusterHost, "<argv0>",
        "Executable path on the cluster host.").in_stanza().old("db-cmd,db?-cmd")
        .depends("pg-host-type=ssh").refused(),
    path("pg-host-config", kClusterHost, "/etc/pgstrata/pgstrata.conf",
        "Config file path used by the process on the cluster host.").in_stanza().old("db-config,db?-config")
        .depends("pg-host").refused(),
    path("pg-host-config-include-path", kClusterHost, "/etc/pgstrata/conf.d",
        "Config include directory used on the cluster host.").in_stanza().depends("pg-host").refused(),
    path("pg-host-config-path", kClusterHost, "/etc/pgstrata",
        "Config base directory used on the cluster host.").in_stanza().depends("pg-host").refused(),
    string("pg-host-key-file", kClusterHost, "",
        "Private key for the client certificate used with cluster host.").required()
        .depends("pg-host-type=tls").refused(),
    integer("pg-host-port", kClusterHost, "tls=>8432", "[0..65535]",
        "ssh or TLS port of the cluster host.").in_stanza().old("db-ssh-port,db?-ssh-port")
        .depends("pg-host-type=ssh|tls").refused(),
    choice("pg-host-type", kClusterHost, "ssh", "ssh|tls",
        "Transport to the cluster host.").depends("pg-host").refused(),
    string("pg-host-user", kClusterHost, "postgres",
        "ssh login on the cluster host.").in_stanza().old("db-user,db?-user").depends("pg-host-type=ssh")
        .refused(),
    boolean("pg-local", kDataDirectory, "n",
        "Treat this cluster as local although a host is configured.").in_stanza().internal(),
    path("pg-path", kDataDirectory, "",
        "Data directory of the cluster; the data_directory of the running server.").in_stanza()
        .required_for(kDataDirectory & ~on(archive_push, manifest)).old("db-path,db?-path")
        .depends("{check:stanza}"),
    integer("pg-port", kConnects, "5432", "[0..65535]",
        "PostgreSQL server port.").in_stanza().old("db-port,db?-port").depends("pg-path"),
    string("pg-socket-path", kConnects, "",
        "Unix socket directory for PostgreSQL connections.").in_stanza()
        .old("db-socket-path,db?-socket-path").depends("pg-path"),
    string("pg-user", kConnects, "",
        "Database role to connect as; by default PGUSER or the name of the operating system user.")
        .in_stanza().depends("pg-path"),
};
// clang-format on

} // namespace pgstrata::config::rows
