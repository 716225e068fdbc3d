// SPDX-License-Identifier: PostgreSQL
#include "codec/crypto_library.hpp"

#include "pgstrata/util/shared_library.hpp"

#include <openssl/opensslv.h>

namespace pgstrata::codec {

namespace {

CryptoLibrary load_libcrypto()
{
    // The version whose headers this was built with, which is the one libcurl and libpq use.
    const SharedLibrary library(fmt::format("libcrypto.so.{}", OPENSSL_SHLIB_VERSION),
                                ErrorCode::crypto,
                                "install OpenSSL (package libssl3, or openssl-libs)");
    CryptoLibrary crypto{};
    library.find("CRYPTO_memcmp", crypto.compare);
    library.find("EVP_CIPHER_CTX_new", crypto.new_cipher_context);
    library.find("EVP_CIPHER_CTX_free", crypto.free_cipher_context);
    library.find("EVP_CIPHER_CTX_ctrl", crypto.control_cipher);
    library.find("EVP_EncryptInit_ex", crypto.begin_encrypting);
    library.find("EVP_EncryptUpdate", crypto.encrypt);
    library.find("EVP_EncryptFinal_ex", crypto.end_encrypting);
    library.find("EVP_DecryptInit_ex", crypto.begin_decrypting);
    library.find("EVP_DecryptUpdate", crypto.decrypt);
    library.find("EVP_DecryptFinal_ex", crypto.end_decrypting);
    library.find("EVP_aes_256_gcm", crypto.aes_256_gcm);
    library.find("EVP_aes_256_cbc", crypto.aes_256_cbc);
    library.find("EVP_MD_CTX_new", crypto.new_digest_context);
    library.find("EVP_MD_CTX_free", crypto.free_digest_context);
    library.find("EVP_DigestInit_ex", crypto.begin_digest);
    library.find("EVP_DigestUpdate", crypto.update_digest);
    library.find("EVP_DigestFinal_ex", crypto.end_digest);
    library.find("EVP_Digest", crypto.digest);
    library.find("EVP_sha256", crypto.sha256);
    library.find("EVP_md5", crypto.md5);
    library.find("EVP_PBE_scrypt", crypto.scrypt);
    return crypto;
}

} // namespace

const CryptoLibrary& crypto()
{
    static const CryptoLibrary kLibrary = load_libcrypto();
    return kLibrary;
}

} // namespace pgstrata::codec
