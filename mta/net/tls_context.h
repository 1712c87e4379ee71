// What mta/net/tls.h calls a context, as BoringSSL has it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <openssl/pool.h>
#include <openssl/ssl.h>

#include "mta/net/tls.h"
#include "mta/net/tls_certificate.h"
#include "mta/net/tls_failure.h"
#include "mta/net/tls_sessions.h"
#include "mta/net/tls_verify.h"

namespace rockdove::net {

class BoringServerContext final : public TlsServerContext {
 public:
  // At least one identity.
  explicit BoringServerContext(std::vector<TlsIdentity> identities);

  // BoringSSL's functions take no pointer to const.
  [[nodiscard]] SSL_CTX* context() const { return context_.get(); }

 private:
  static ssl_select_cert_result_t on_client_hello(const SSL_CLIENT_HELLO* hello);

  [[nodiscard]] const TlsIdentity& choose(const SSL_CLIENT_HELLO& hello,
                                          const TlsOffer& offer) const;

  std::vector<TlsIdentity> identities_;
  // What most clients are shown. It is the context's own, since giving a connection another one
  // compares certificate and key each time.
  const TlsIdentity* usual_ = nullptr;
  bssl::UniquePtr<SSL_CTX> context_;
};

class BoringClientContext final : public TlsClientContext {
 public:
  explicit BoringClientContext(TlsAuthorities authorities);

  [[nodiscard]] SSL_CTX* context() const { return context_.get(); }

  [[nodiscard]] const TlsAuthorities& authorities() const { return authorities_; }

  [[nodiscard]] TlsSessions& sessions() const { return sessions_; }

 private:
  static int on_new_session(SSL* connection, SSL_SESSION* session);
  static ssl_verify_result_t on_certificate(SSL* connection, std::uint8_t* alert);

  TlsAuthorities authorities_;
  // One copy of the certificates that many sessions hold; outlives all of them.
  bssl::UniquePtr<CRYPTO_BUFFER_POOL> certificates_;
  mutable TlsSessions sessions_;  // has a lock of its own
  bssl::UniquePtr<SSL_CTX> context_;
};

}  // namespace rockdove::net
