// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "config/option_rows.hpp"

#include <array>

namespace pgstrata::config::rows {

// Options of a repository: "repo-path" is repo1-path, repo2-path ...
// clang-format off
inline constexpr std::array kRepoRows = {
    string("repo-azure-account", kRepository, "",
        "Azure storage account name.").secure().required().depends("repo-type=azure").refused(),
    string("repo-azure-container", kRepository, "",
        "Azure blob container name.").required().depends("repo-type=azure").refused(),
    string("repo-azure-endpoint", kRepository, "blob.core.windows.net",
        "Azure blob service endpoint.").secure().depends("repo-type=azure").refused(),
    string("repo-azure-key", kRepository, "",
        "Azure shared key or SAS token.").secure().depends("repo-azure-key-type=shared|sas").refused(),
    choice("repo-azure-key-type", kRepository, "shared", "shared|sas|auto",
        "Azure credential method.").depends("repo-type=azure").refused(),
    choice("repo-azure-uri-style", kRepository, "host", "host|path",
        "Account in host name or in URL path.").depends("repo-type=azure").refused(),
    boolean("repo-block", on(backup), "y",
        "Accepted for compatibility: changed pages, not whole files, are always what a backup stores.")
        .depends("repo-bundle=y,else=n").tunes(),
    hash("repo-block-age-map", on(backup),
        "File age in days mapped to a block size multiplier.").internal().depends("repo-block=y").tunes(),
    hash("repo-block-checksum-size-map", on(backup),
        "Block size mapped to stored block checksum length.").internal().depends("repo-block=y").tunes(),
    hash("repo-block-size-map", on(backup),
        "File size mapped to block size.").internal().depends("repo-block=y").tunes(),
    size("repo-block-size-super", on(backup), "256KiB", "[32KiB..16MiB]",
        "Compression unit grouping blocks in diff/incr backups.").internal().depends("repo-block=y").tunes(),
    size("repo-block-size-super-full", on(backup), "1MiB", "[32KiB..16MiB]",
        "Compression unit grouping blocks in full backups.").internal().depends("repo-block=y").tunes(),
    boolean("repo-bundle", on(backup), "y",
        "Accepted for compatibility: small files are always packed together.").tunes(),
    size("repo-bundle-limit", on(backup), "2MiB", "[8KiB..1PiB]",
        "Largest file eligible for bundling.").depends("repo-bundle=y").tunes(),
    size("repo-bundle-size", on(backup), "20MiB", "[1MiB..1PiB]",
        "Target uncompressed size of one bundle.").depends("repo-bundle=y").tunes(),
    string("repo-cipher-pass", kRepository, "",
        "Passphrase of the repository.").secure().required().old("repo-cipher-pass")
        .depends("repo-cipher-type=aes-256-cbc|aes-256-gcm"),
    string("repo-cipher-pass-command", kRepository, "",
        "Shell command that prints the passphrase of the repository.").redacted()
        .depends("repo-cipher-type=aes-256-cbc|aes-256-gcm"),
    path("repo-cipher-pass-file", kRepository, "",
        "File whose first line is the passphrase of the repository.")
        .depends("repo-cipher-type=aes-256-cbc|aes-256-gcm"),
    choice("repo-cipher-type", kRepository, "none", "none|aes-256-cbc|aes-256-gcm",
        "Encryption of the repository; both ciphers authenticate what they protect.")
        .old("repo-cipher-type"),
    string("repo-gcs-bucket", kRepository, "",
        "GCS bucket name.").required().depends("repo-gcs-key-type").refused(),
    string("repo-gcs-endpoint", kRepository, "storage.googleapis.com",
        "GCS endpoint host.").depends("repo-gcs-key-type").refused(),
    string("repo-gcs-key", kRepository, "",
        "GCS service key file or literal token.").secure().required()
        .depends("repo-gcs-key-type=service|token").refused(),
    choice("repo-gcs-key-type", kRepository, "service", "service|token|auto",
        "GCS credential method.").depends("repo-type=gcs").refused(),
    string("repo-gcs-user-project", kRepository, "",
        "Project that is billed for GCS requests.").depends("repo-type=gcs").refused(),
    boolean("repo-hardlink", on(backup), "n",
        "Hard-link unchanged files so that each backup looks complete.").old("hardlink").tunes(),
    string("repo-host", kRepository, "",
        "Host of the repository; without it the repository is reached from this host.").old("backup-host")
        .depends("repo-local=n").refused(),
    string("repo-host-ca-file", kRepository, "",
        "CA bundle used to verify the repo host TLS server.").depends("repo-host-type=tls").refused(),
    string("repo-host-ca-path", kRepository, "",
        "CA directory used to verify the repo host TLS server.").depends("repo-host-type=tls").refused(),
    string("repo-host-cert-file", kRepository, "",
        "Client certificate presented to the repo host TLS server.").required()
        .depends("repo-host-type=tls").refused(),
    string("repo-host-cmd", kRepository, "<argv0>",
        "Executable path on the repo host.").old("backup-cmd").depends("repo-host-type=ssh").refused(),
    string("repo-host-config", kRepository, "/etc/pgstrata/pgstrata.conf",
        "Config file path used by the process on the repo host.").old("backup-config").depends("repo-host")
        .refused(),
    path("repo-host-config-include-path", kRepository, "/etc/pgstrata/conf.d",
        "Config include directory used on the repo host.").depends("repo-host").refused(),
    path("repo-host-config-path", kRepository, "/etc/pgstrata",
        "Config base directory used on the repo host.").depends("repo-host").refused(),
    string("repo-host-key-file", kRepository, "",
        "Private key for the client certificate used with repo host.").required()
        .depends("repo-host-type=tls").refused(),
    integer("repo-host-port", kRepository, "tls=>8432", "[0..65535]",
        "ssh or TLS port of the repo host.").old("backup-ssh-port").depends("repo-host-type=ssh|tls")
        .refused(),
    choice("repo-host-type", kRepository, "ssh", "ssh|tls",
        "Transport to the repo host.").depends("repo-host").refused(),
    string("repo-host-user", kRepository, "pgstrata",
        "ssh login on the repo host.").old("backup-user").depends("repo-host-type=ssh").refused(),
    boolean("repo-local", kRepository, "n",
        "Treat this repository as local although a host is configured.").internal(),
    size("repo-pack-size", on(backup), "256MiB", "[1MiB..4GiB]",
        "Bytes after which a backup begins a new pack file."),
    path("repo-path", kRepository, "/var/lib/pgstrata",
        "Root of the repository; in an object store the prefix of all keys.").old("repo-path"),
    integer("repo-retention-archive", on(backup, expire), "", "[1..9999999]",
        "For how many backups (of repo-retention-archive-type) WAL is kept without gaps.")
        .old("retention-archive"),
    choice("repo-retention-archive-type", on(backup, expire), "full", "full|diff|incr",
        "Which backups repo-retention-archive counts.").old("retention-archive-type"),
    integer("repo-retention-diff", on(backup, expire), "", "[1..9999999]",
        "How many differential backups to keep; full backups are counted too.").old("retention-diff"),
    integer("repo-retention-full", on(backup, expire), "", "[1..9999999]",
        "How many full backups to keep, or for how many days (repo-retention-full-type).")
        .old("retention-full"),
    choice("repo-retention-full-type", on(backup, expire), "count", "count|time",
        "Whether repo-retention-full is a number of backups or of days."),
    integer("repo-retention-history", on(backup, expire), "", "[0..9999999]",
        "For how many days manifests of removed backups are kept; without it for ever."),
    string("repo-retention-keep", on(backup, expire, info), "",
        "How many backups of the newest hours, days, weeks, months and years to keep, one of each: "
        "daily=7,weekly=4,monthly=12."),
    integer("repo-retention-manual", on(backup, expire, info), "", "[1..9999999]",
        "How many backups without a schedule to keep."),
    time("repo-retention-pitr", on(backup, expire, info), "", "[1s..9999w]",
        "For how long any moment can be restored: WAL, and the backup it begins with, are kept."),
    string("repo-retention-schedule", on(backup, expire, info), "",
        "How long backups of a schedule live: daily=7d,weekly=90d,monthly=1y."),
    string("repo-s3-bucket", kRepository, "",
        "Bucket of the repository; it has to be there already.")
        .required().old("repo-s3-bucket").depends("repo-type=s3"),
    string("repo-s3-endpoint", kRepository, "",
        "S3 endpoint, optionally with a port; without TLS only when it begins with http://.").required()
        .old("repo-s3-endpoint").depends("repo-type=s3"),
    string("repo-s3-key", kRepository, "",
        "S3 access key id.").secure().required().old("repo-s3-key").depends("repo-s3-key-type=shared"),
    string("repo-s3-key-secret", kRepository, "",
        "S3 secret access key.").secure().required().old("repo-s3-key-secret")
        .depends("repo-s3-key-type=shared"),
    choice("repo-s3-key-type", kRepository, "shared", "shared|auto|web-id|pod-id|process",
        "Where the S3 credentials come from: shared are in these options; auto asks the environment, the web "
        "identity, the pod identity and the metadata service of the instance, in this order.")
        .depends("repo-type=s3"),
    string("repo-s3-kms-key-id", kRepository, "",
        "Key of KMS with which the store encrypts new objects (SSE-KMS).").depends("repo-type=s3"),
    list("repo-s3-process-cmd", kRepository,
        "Program, and in further lines its arguments, that prints temporary credentials as JSON, as AWS's "
        "credential_process.")
        .required().redacted()
        .depends("repo-s3-key-type=process"),
    string("repo-s3-region", kRepository, "",
        "Region of the bucket, which is part of the signature; other stores than Amazon's mostly take us-east-1.")
        .required().old("repo-s3-region").depends("repo-type=s3"),
    boolean("repo-s3-requester-pays", kRepository, "n",
        "Agree to pay for requests to a bucket of somebody else.").depends("repo-type=s3"),
    string("repo-s3-role", kRepository, "",
        "Role of the instance for key-type auto; its metadata service names it when this is unset.")
        .depends("repo-s3-key-type=auto"),
    string("repo-s3-service", kRepository, "s3",
        "Name of the service in the signature: s3 or s3-outposts.").depends("repo-type=s3"),
    string("repo-s3-sse-customer-key", kRepository, "",
        "Key of 32 bytes in base64 with which the store encrypts and forgets (SSE-C); needed for every read.")
        .secure().depends("repo-type=s3"),
    string("repo-s3-storage-class", kRepository, "",
        "Storage class of new objects, such as STANDARD_IA.").depends("repo-type=s3"),
    string("repo-s3-sts-host", kRepository, "sts.amazonaws.com",
        "Host that exchanges a web identity for credentials.").depends("repo-s3-key-type=web-id"),
    string("repo-s3-token", kRepository, "",
        "Token of a session, where the shared keys are temporary.").secure().depends("repo-s3-key-type=shared"),
    choice("repo-s3-uri-style", kRepository, "host", "host|path",
        "Where requests name the bucket: in the name of the host, or in the path, as MinIO, Ceph and others "
        "commonly want it.")
        .depends("repo-type=s3"),
    string("repo-sftp-host", kRepository, "",
        "SFTP server holding the repo.").required().depends("repo-type=sftp").refused(),
    string("repo-sftp-host-fingerprint", kRepository, "",
        "Expected host key digest for fingerprint checking.")
        .depends("repo-sftp-host-key-check-type=fingerprint|strict").refused(),
    choice("repo-sftp-host-key-check-type", kRepository, "strict", "accept-new|fingerprint|none|strict",
        "Host key policy for SFTP.").depends("repo-type=sftp").refused(),
    choice("repo-sftp-host-key-hash-type", kRepository, "", "md5|sha1|sha256",
        "Digest used for SFTP host key comparison.").required().depends("repo-type=sftp").refused(),
    integer("repo-sftp-host-port", kRepository, "22", "[1..65535]",
        "SFTP port.").depends("repo-type=sftp").refused(),
    string("repo-sftp-host-user", kRepository, "",
        "SFTP login.").required().depends("repo-type=sftp").refused(),
    list("repo-sftp-known-host", kRepository,
        "Known-hosts files searched for the SFTP host.")
        .depends("repo-sftp-host-key-check-type=accept-new|strict").refused(),
    string("repo-sftp-private-key-file", kRepository, "",
        "SFTP private key file.").required().depends("repo-type=sftp").refused(),
    string("repo-sftp-private-key-passphrase", kRepository, "",
        "Passphrase unlocking the SFTP private key.").secure().depends("repo-type=sftp").refused(),
    string("repo-sftp-public-key-file", kRepository, "",
        "SFTP public key file.").depends("repo-type=sftp").refused(),
    string("repo-storage-ca-file", kRepository, "",
        "File with the authorities that sign the store's certificate; the system's when unset.")
        .old("repo-s3-ca-file,repo?-azure-ca-file,repo?-s3-ca-file")
        .depends("repo-type=azure|gcs|s3"),
    path("repo-storage-ca-path", kRepository, "",
        "Directory of such authorities, as openssl rehash makes it.")
        .old("repo-s3-ca-path,repo?-azure-ca-path,repo?-s3-ca-path")
        .depends("repo-type=azure|gcs|s3"),
    string("repo-storage-host", kRepository, "",
        "Connect to this host, optionally with a port, in place of the endpoint, which is still what is signed "
        "and verified.")
        .old("repo-s3-host,repo?-azure-host,repo?-s3-host").depends("repo-type=azure|s3"),
    integer("repo-storage-port", kRepository, "443", "[1..65535]",
        "Port of the object store, unless endpoint or host name one.")
        .old("repo?-azure-port,repo?-s3-port").depends("repo-type=azure|s3"),
    integer("repo-storage-prefetch", kRepository, "3", "[0..1024]",
        "MiB of an object that a reader from front to back gets ahead of its reading.")
        .depends("repo-type=azure|gcs|s3"),
    size("repo-storage-read-over", kRepository, "64KiB", "[0B..1MiB]",
        "Gap that such a reader skips without losing what was read ahead.")
        .depends("repo-type=azure|gcs|s3"),
    hash("repo-storage-tag", kRepository,
        "Tag of every new object, as key=value; may be given again.").depends("repo-type=azure|gcs|s3"),
    size("repo-storage-upload-chunk-size", kRepository, "azure=>4MiB; gcs=>4MiB; s3=>5MiB",
        "azure=>[4MiB..1GiB]; gcs=>[4MiB..1GiB]; s3=>[5MiB..1GiB]",
        "Size of the first parts of an upload; what is smaller is written in one request.")
        .depends("repo-type=azure|gcs|s3"),
    boolean("repo-storage-verify-tls", kRepository, "y",
        "Verify the certificate of the object store; without, anybody in between can read the keys' signatures "
        "and the data.")
        .old("repo-s3-verify-ssl,repo?-azure-verify-tls,repo?-s3-verify-ssl,repo?-s3-verify-tls")
        .depends("repo-type=azure|gcs|s3"),
    boolean("repo-symlink", on(backup, expire), "y",
        "Make links to the latest backup and to tablespaces.").depends("repo-type=posix,else=n").tunes(),
    choice("repo-type", kRepository, "posix", "azure|cifs|gcs|posix|s3|sftp",
        "Where the repository is stored.").old("repo-type").refused().but_built("cifs|s3"),
};
// clang-format on

} // namespace pgstrata::config::rows
