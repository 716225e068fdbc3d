// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/codec/cipher.hpp"

#include "codec/crypto_library.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/handle.hpp"

namespace pgstrata::codec {

namespace {

void free_context(EVP_CIPHER_CTX* context) noexcept
{
    crypto().free_cipher_context(context);
}
using CipherContext = Handle<EVP_CIPHER_CTX, &free_context>;

void require_cipher(int result)
{
    if (result != 1) {
        raise(ErrorCode::crypto, "the cipher library failed");
    }
}

int as_int(std::size_t size)
{
    if (size > (1U << 30U)) {
        raise(ErrorCode::assertion, "{} bytes in one encrypted run", size);
    }
    return static_cast<int>(size);
}

[[noreturn]] void raise_not_authentic()
{
    raise(ErrorCode::crypto,
          "the data does not belong here: it was changed, or sealed with another key");
}

class GcmCipher final : public Cipher {
public:
    explicit GcmCipher(const Key& key)
        : seal_(crypto().new_cipher_context()), open_(crypto().new_cipher_context())
    {
        require_cipher(seal_ && open_ ? 1 : 0);
        const std::uint8_t* bytes = as_u8(key.view());
        require_cipher(crypto().begin_encrypting(
            seal_.get(), crypto().aes_256_gcm(), nullptr, bytes, nullptr));
        require_cipher(crypto().begin_decrypting(
            open_.get(), crypto().aes_256_gcm(), nullptr, bytes, nullptr));
    }

    Tag seal(const Nonce& nonce, ByteView associated, ByteView plain, Buffer& out) override
    {
        int size = 0;
        Tag tag{};
        out.resize(plain.size());
        EVP_CIPHER_CTX* context = seal_.get();
        require_cipher(
            crypto().begin_encrypting(context, nullptr, nullptr, nullptr, as_u8(ByteView(nonce))));
        require_cipher(crypto().encrypt(
            context, nullptr, &size, as_u8(associated), as_int(associated.size())));
        if (!plain.empty()) {
            require_cipher(crypto().encrypt(
                context, as_u8(out.span()), &size, as_u8(plain), as_int(plain.size())));
        }
        require_cipher(crypto().end_encrypting(context, nullptr, &size));
        require_cipher(crypto().control_cipher(
            context, EVP_CTRL_AEAD_GET_TAG, as_int(tag.size()), tag.data()));
        return tag;
    }

    void open(const Nonce& nonce,
              ByteView associated,
              ByteView sealed,
              const Tag& tag,
              Buffer& out) override
    {
        int size = 0;
        Tag expected = tag;
        out.resize(sealed.size());
        EVP_CIPHER_CTX* context = open_.get();
        require_cipher(
            crypto().begin_decrypting(context, nullptr, nullptr, nullptr, as_u8(ByteView(nonce))));
        require_cipher(crypto().decrypt(
            context, nullptr, &size, as_u8(associated), as_int(associated.size())));
        if (!sealed.empty()) {
            require_cipher(crypto().decrypt(
                context, as_u8(out.span()), &size, as_u8(sealed), as_int(sealed.size())));
        }
        require_cipher(crypto().control_cipher(
            context, EVP_CTRL_AEAD_SET_TAG, as_int(expected.size()), expected.data()));
        if (crypto().end_decrypting(context, nullptr, &size) != 1) {
            out.clear();
            raise_not_authentic();
        }
    }

    void check(const Nonce& nonce, ByteView associated, ByteView sealed, const Tag& tag) override
    {
        open(nonce, associated, sealed, tag, checked_);
    }

private:
    CipherContext seal_;
    CipherContext open_;
    Buffer checked_;
};

class CbcCipher final : public Cipher {
public:
    explicit CbcCipher(const Key& key) : context_(crypto().new_cipher_context())
    {
        require_cipher(context_ ? 1 : 0);
        hkdf_sha256(key.view(), {}, as_bytes("aes-256-cbc encryption"), encryption_key_.span());
        hkdf_sha256(key.view(), {}, as_bytes("aes-256-cbc iv"), iv_key_.span());
        hkdf_sha256(key.view(), {}, as_bytes("aes-256-cbc authentication"), mac_key_.span());
    }

    Tag seal(const Nonce& nonce, ByteView associated, ByteView plain, Buffer& out) override
    {
        const Sha256Digest iv = hmac_sha256(iv_key_.view(), nonce);
        int body = 0;
        int rest = 0;
        out.resize(plain.size() + 16);
        require_cipher(crypto().begin_encrypting(context_.get(),
                                                 crypto().aes_256_cbc(),
                                                 nullptr,
                                                 as_u8(encryption_key_.view()),
                                                 as_u8(ByteView(iv))));
        require_cipher(crypto().encrypt(
            context_.get(), as_u8(out.span()), &body, as_u8(plain), as_int(plain.size())));
        require_cipher(crypto().end_encrypting(context_.get(), as_u8(out.span()) + body, &rest));
        out.resize(static_cast<std::size_t>(body) + static_cast<std::size_t>(rest));
        return authenticate(nonce, associated, out);
    }

    void open(const Nonce& nonce,
              ByteView associated,
              ByteView sealed,
              const Tag& tag,
              Buffer& out) override
    {
        check(nonce, associated, sealed, tag);
        const Sha256Digest iv = hmac_sha256(iv_key_.view(), nonce);
        int body = 0;
        int rest = 0;
        out.resize(sealed.size() + 16);
        require_cipher(crypto().begin_decrypting(context_.get(),
                                                 crypto().aes_256_cbc(),
                                                 nullptr,
                                                 as_u8(encryption_key_.view()),
                                                 as_u8(ByteView(iv))));
        require_cipher(crypto().decrypt(
            context_.get(), as_u8(out.span()), &body, as_u8(sealed), as_int(sealed.size())));
        require_cipher(crypto().end_decrypting(context_.get(), as_u8(out.span()) + body, &rest));
        out.resize(static_cast<std::size_t>(body) + static_cast<std::size_t>(rest));
    }

    void check(const Nonce& nonce, ByteView associated, ByteView sealed, const Tag& tag) override
    {
        const Tag expected = authenticate(nonce, associated, sealed);
        if (crypto().compare(expected.data(), tag.data(), tag.size()) != 0) {
            raise_not_authentic();
        }
    }

private:
    // The associated data has a fixed length, so nothing can move between it and the ciphertext.
    Tag authenticate(const Nonce& nonce, ByteView associated, ByteView ciphertext) const
    {
        const Sha256Digest digest = hmac_sha256(mac_key_.view(), nonce, associated, ciphertext);
        Tag tag{};
        std::memcpy(tag.data(), digest.data(), tag.size());
        return tag;
    }

    CipherContext context_;
    Key encryption_key_;
    Key iv_key_;
    Key mac_key_;
};

} // namespace

std::string_view cipher_name(CipherType type) noexcept
{
    switch (type) {
    case CipherType::aes_256_gcm:
        return "aes-256-gcm";
    case CipherType::aes_256_cbc:
        return "aes-256-cbc";
    case CipherType::none:
        break;
    }
    return "none";
}

std::optional<CipherType> parse_cipher(std::string_view name) noexcept
{
    for (const CipherType type :
         {CipherType::none, CipherType::aes_256_gcm, CipherType::aes_256_cbc}) {
        if (name == cipher_name(type)) {
            return type;
        }
    }
    return std::nullopt;
}

std::unique_ptr<Cipher> make_cipher(CipherType type, const Key& key)
{
    if (type == CipherType::aes_256_gcm) {
        return std::make_unique<GcmCipher>(key);
    }
    return std::make_unique<CbcCipher>(key);
}

} // namespace pgstrata::codec
