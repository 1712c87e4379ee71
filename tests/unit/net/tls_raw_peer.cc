#include "tls_raw_peer.h"

#include <array>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "mta/base/assert.h"
#include "mta/net/tls_certificate.h"

namespace rockdove::net {

namespace {

std::uint16_t number_of(TlsVersion version) {
  return static_cast<std::uint16_t>(TLS1_VERSION + static_cast<int>(version));
}

}  // namespace

struct RawPeer::Parts {
  bssl::UniquePtr<SSL_CTX> context{SSL_CTX_new(TLS_method())};
  bssl::UniquePtr<SSL> connection;
  BIO* in = nullptr;
  BIO* out = nullptr;
};

RawPeer::RawPeer(const RawHabits& habits, const PemIdentity* identity)
    : parts_(std::make_unique<Parts>()) {
  SSL_CTX* context = parts_->context.get();
  SSL_CTX_set_min_proto_version(context, number_of(habits.least));
  SSL_CTX_set_max_proto_version(context, number_of(habits.most));
  if (!habits.ciphers.empty()) {
    MTA_ASSERT(SSL_CTX_set_strict_cipher_list(context, habits.ciphers.c_str()) == 1);
  }
  if (!habits.groups.empty()) {
    MTA_ASSERT(SSL_CTX_set1_curves_list(context, habits.groups.c_str()) == 1);
  }
  if (habits.rsa_only) {
    const std::array<std::uint16_t, 2> algorithms{SSL_SIGN_RSA_PSS_RSAE_SHA256,
                                                  SSL_SIGN_RSA_PKCS1_SHA256};
    MTA_ASSERT(SSL_CTX_set_verify_algorithm_prefs(context, algorithms.data(), 2) == 1);
  }
  parts_->connection.reset(SSL_new(context));
  SSL* connection = parts_->connection.get();
  parts_->in = BIO_new(BIO_s_mem());
  parts_->out = BIO_new(BIO_s_mem());
  SSL_set_bio(connection, parts_->in, parts_->out);
  if (identity == nullptr) {
    SSL_set_connect_state(connection);
    if (!habits.server_name.empty()) {
      SSL_set_tlsext_host_name(connection, habits.server_name.c_str());
    }
    return;
  }
  TlsIdentity shown = read_identity(*identity).value();
  CRYPTO_BUFFER* first = shown.chain.front().get();
  MTA_ASSERT(SSL_set_chain_and_key(connection, &first, 1, shown.key.get(), nullptr) == 1);
  SSL_set_accept_state(connection);
}

RawPeer::~RawPeer() = default;

std::string RawPeer::hear(std::string_view ciphertext) {
  SSL* connection = parts_->connection.get();
  if (!ciphertext.empty()) {
    BIO_write(parts_->in, ciphertext.data(), static_cast<int>(ciphertext.size()));
  }
  if (!is_open()) SSL_do_handshake(connection);
  std::array<char, 4096> room{};
  while (is_open()) {
    const int octets = SSL_read(connection, room.data(), static_cast<int>(room.size()));
    if (octets <= 0) break;
    text_.append(room.data(), static_cast<std::size_t>(octets));
  }
  ERR_clear_error();
  const std::uint8_t* octets = nullptr;
  std::size_t count = 0;
  BIO_mem_contents(parts_->out, &octets, &count);
  std::string said(reinterpret_cast<const char*>(octets), count);
  BIO_reset(parts_->out);
  return said;
}

void RawPeer::say(std::string_view plaintext) {
  SSL_write(parts_->connection.get(), plaintext.data(), static_cast<int>(plaintext.size()));
}

bool RawPeer::is_open() const {
  return SSL_in_init(parts_->connection.get()) == 0;
}

std::string RawPeer::certificate_key() const {
  const bssl::UniquePtr<X509> shown(SSL_get_peer_certificate(parts_->connection.get()));
  if (shown == nullptr) return "none";
  const bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(shown.get()));
  return EVP_PKEY_id(key.get()) == EVP_PKEY_RSA ? "RSA" : "EC";
}

}  // namespace rockdove::net
