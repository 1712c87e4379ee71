#include <utility>

#include "mta/base/assert.h"
#include "mta/net/tls_context.h"
#include "mta/net/tls_engine.h"

namespace rockdove::net {

base::Result<std::shared_ptr<const TlsClientContext>> make_tls_client_context(
    const TlsClientSettings& settings) {
  base::Result<TlsAuthorities> authorities = TlsAuthorities::load(settings.ca_file);
  if (!authorities) return authorities.error();
  return std::shared_ptr<const TlsClientContext>(
      std::make_shared<BoringClientContext>(std::move(*authorities)));
}

BoringClientContext::BoringClientContext(TlsAuthorities authorities)
    : authorities_(std::move(authorities)),
      certificates_(CRYPTO_BUFFER_POOL_new()),
      context_(SSL_CTX_new(TLS_with_buffers_method())) {
  MTA_ASSERT(context_ != nullptr);
  SSL_CTX_set_app_data(context_.get(), this);
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context_.get(), TLS1_3_VERSION);
  SSL_CTX_set0_buffer_pool(context_.get(), certificates_.get());
  SSL_CTX_set_session_cache_mode(context_.get(),
                                 SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_.get(), &BoringClientContext::on_new_session);
  SSL_CTX_set_custom_verify(context_.get(), SSL_VERIFY_PEER, &BoringClientContext::on_certificate);
}

int BoringClientContext::on_new_session(SSL* connection, SSL_SESSION* session) {
  const auto* self =
      static_cast<const BoringClientContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection)));
  self->sessions_.keep(TlsEngine::of(*connection).session_key(),
                       bssl::UniquePtr<SSL_SESSION>(session));
  return 1;  // it is ours now
}

// Not asked when a session is resumed: what is in the cache was judged when it began.
ssl_verify_result_t BoringClientContext::on_certificate(SSL* connection, std::uint8_t* alert) {
  return TlsEngine::of(*connection).judge_certificate(*alert) ? ssl_verify_ok : ssl_verify_invalid;
}

}  // namespace rockdove::net
