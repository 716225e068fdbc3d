// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace pgstrata::codec {

// The functions of OpenSSL's libcrypto, found at run time: a push into a plain repository does
// without it, and loading and starting it would be a twentieth of that push.
struct CryptoLibrary {
    decltype(&CRYPTO_memcmp) compare;
    decltype(&EVP_CIPHER_CTX_new) new_cipher_context;
    decltype(&EVP_CIPHER_CTX_free) free_cipher_context;
    decltype(&EVP_CIPHER_CTX_ctrl) control_cipher;
    decltype(&EVP_EncryptInit_ex) begin_encrypting;
    decltype(&EVP_EncryptUpdate) encrypt;
    decltype(&EVP_EncryptFinal_ex) end_encrypting;
    decltype(&EVP_DecryptInit_ex) begin_decrypting;
    decltype(&EVP_DecryptUpdate) decrypt;
    decltype(&EVP_DecryptFinal_ex) end_decrypting;
    decltype(&EVP_aes_256_gcm) aes_256_gcm;
    decltype(&EVP_aes_256_cbc) aes_256_cbc;
    decltype(&EVP_MD_CTX_new) new_digest_context;
    decltype(&EVP_MD_CTX_free) free_digest_context;
    decltype(&EVP_DigestInit_ex) begin_digest;
    decltype(&EVP_DigestUpdate) update_digest;
    decltype(&EVP_DigestFinal_ex) end_digest;
    decltype(&EVP_Digest) digest;
    decltype(&EVP_sha256) sha256;
    decltype(&EVP_md5) md5;
    decltype(&EVP_PBE_scrypt) scrypt;
};

// Loaded by the first call; from any thread. Throws Error(crypto) when the library or one of the
// functions is missing.
const CryptoLibrary& crypto();

} // namespace pgstrata::codec
