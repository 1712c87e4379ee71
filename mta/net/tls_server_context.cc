#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <openssl/bytestring.h>
#include <openssl/err.h>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "mta/base/time.h"
#include "mta/net/tls_context.h"
#include "mta/net/tls_engine.h"
#include "mta/net/tls_tickets.h"

namespace rockdove::net {

namespace {

constexpr std::size_t kOfferedCiphersMax = 100;
constexpr std::uint16_t kGroupP256 = 23;
constexpr std::uint16_t kGroupP384 = 24;

std::span<const std::uint8_t> extension_of(const SSL_CLIENT_HELLO& hello, std::uint16_t type,
                                           bool& is_there) {
  const std::uint8_t* octets = nullptr;
  std::size_t count = 0;
  is_there = SSL_early_callback_ctx_extension_get(&hello, type, &octets, &count) == 1;
  return is_there ? std::span<const std::uint8_t>(octets, count) : std::span<const std::uint8_t>();
}

std::vector<std::uint16_t> numbers_in(CBS list, std::size_t count_max) {
  std::vector<std::uint16_t> numbers;
  std::uint16_t number = 0;
  while (numbers.size() < count_max && CBS_get_u16(&list, &number) == 1) numbers.push_back(number);
  return numbers;
}

// An extension that is one list of 16-bit numbers; nothing when it is not there.
std::optional<std::vector<std::uint16_t>> list_in(const SSL_CLIENT_HELLO& hello,
                                                  std::uint16_t type) {
  bool is_there = false;
  const std::span<const std::uint8_t> octets = extension_of(hello, type, is_there);
  if (!is_there) return std::nullopt;
  CBS extension;
  CBS list;
  CBS_init(&extension, octets.data(), octets.size());
  // supported_versions (RFC 8446 §4.2.1) alone has a length of one octet.
  const bool is_read = type == TLSEXT_TYPE_supported_versions
                           ? CBS_get_u8_length_prefixed(&extension, &list) == 1
                           : CBS_get_u16_length_prefixed(&extension, &list) == 1;
  if (!is_read) return std::vector<std::uint16_t>{};
  return numbers_in(list, kOfferedCiphersMax);
}

bool has_any(const std::vector<std::uint16_t>& list, std::initializer_list<std::uint16_t> wanted) {
  return std::any_of(list.begin(), list.end(), [wanted](std::uint16_t number) {
    return std::find(wanted.begin(), wanted.end(), number) != wanted.end();
  });
}

// The first host_name of RFC 6066 §3, in lower case.
std::string server_name_of(const SSL_CLIENT_HELLO& hello) {
  bool is_there = false;
  const std::span<const std::uint8_t> octets =
      extension_of(hello, TLSEXT_TYPE_server_name, is_there);
  CBS extension;
  CBS list;
  CBS name;
  std::uint8_t type = 0;
  CBS_init(&extension, octets.data(), octets.size());
  if (!is_there || CBS_get_u16_length_prefixed(&extension, &list) != 1 ||
      CBS_get_u8(&list, &type) != 1 || type != TLSEXT_NAMETYPE_host_name ||
      CBS_get_u16_length_prefixed(&list, &name) != 1) {
    return {};
  }
  return base::lower_case(
      {reinterpret_cast<const char*>(CBS_data(&name)), std::min<std::size_t>(CBS_len(&name), 255)});
}

TlsOffer offer_of(const SSL_CLIENT_HELLO& hello) {
  TlsOffer offer;
  offer.version = hello.version;
  if (const auto versions = list_in(hello, TLSEXT_TYPE_supported_versions)) {
    for (const std::uint16_t version : *versions) {
      // Others are greased (RFC 8701).
      if (version <= TLS1_3_VERSION) offer.version = std::max(offer.version, version);
    }
  }
  CBS suites;
  CBS_init(&suites, hello.cipher_suites, hello.cipher_suites_len);
  offer.ciphers = numbers_in(suites, kOfferedCiphersMax);
  return offer;
}

// Whether a client can do with a certificate of this curve. Below TLS 1.3 that wants a cipher with
// ECDSA, too, and what it says of curves counts for the certificate (RFC 8422 §5.1).
bool takes_ecdsa(const SSL_CLIENT_HELLO& hello, const TlsOffer& offer, TlsIdentity::Kind kind) {
  const bool is_p256 = kind == TlsIdentity::Kind::P256;
  const auto algorithms = list_in(hello, TLSEXT_TYPE_signature_algorithms);
  if (offer.version >= TLS1_3_VERSION) {
    const std::uint16_t wanted =
        is_p256 ? SSL_SIGN_ECDSA_SECP256R1_SHA256 : SSL_SIGN_ECDSA_SECP384R1_SHA384;
    return algorithms && has_any(*algorithms, {wanted});
  }
  const auto groups = list_in(hello, TLSEXT_TYPE_supported_groups);
  if (!groups || !has_any(*groups, {is_p256 ? kGroupP256 : kGroupP384})) return false;
  if (offer.version >= TLS1_2_VERSION && algorithms &&
      !has_any(*algorithms, {SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384,
                             SSL_SIGN_ECDSA_SHA1})) {
    return false;
  }
  // ECDHE_ECDSA with AES in CBC and GCM mode, and with ChaCha20: what BoringSSL has of them. Those
  // with GCM and ChaCha20 are TLS 1.2's.
  if (has_any(offer.ciphers, {0xC009, 0xC00A})) return true;
  return offer.version >= TLS1_2_VERSION && has_any(offer.ciphers, {0xC02B, 0xC02C, 0xCCA9});
}

bool takes(const SSL_CLIENT_HELLO& hello, const TlsOffer& offer, const TlsIdentity& identity) {
  switch (identity.kind) {
    case TlsIdentity::Kind::P256:
    case TlsIdentity::Kind::P384:
      return takes_ecdsa(hello, offer, identity.kind);
    case TlsIdentity::Kind::Rsa:
    case TlsIdentity::Kind::OtherKey:
      return true;
  }
  return true;
}

bool covers(const TlsIdentity& identity, std::string_view host) {
  return std::any_of(identity.names.begin(), identity.names.end(),
                     [host](const std::string& name) { return name_covers(name, host); });
}

bool share_a_name(const TlsIdentity& a, const TlsIdentity& b) {
  return &a == &b || std::any_of(a.names.begin(), a.names.end(), [&b](const std::string& name) {
    return std::find(b.names.begin(), b.names.end(), name) != b.names.end();
  });
}

std::vector<CRYPTO_BUFFER*> chain_of(const TlsIdentity& identity) {
  std::vector<CRYPTO_BUFFER*> chain;
  for (const bssl::UniquePtr<CRYPTO_BUFFER>& certificate : identity.chain) {
    chain.push_back(certificate.get());
  }
  return chain;
}

std::size_t ticket_overhead(SSL*) {
  return TlsTicketKeys::kOverheadMax;
}

int seal_ticket(SSL*, std::uint8_t* out, std::size_t* written, std::size_t room,
                const std::uint8_t* session, std::size_t octets) {
  const std::optional<std::size_t> sealed =
      TlsTicketKeys::of_process().seal({session, octets}, {out, room}, base::read_clocks().instant);
  *written = sealed.value_or(0);
  return sealed ? 1 : 0;
}

ssl_ticket_aead_result_t open_ticket(SSL*, std::uint8_t* out, std::size_t* written,
                                     std::size_t room, const std::uint8_t* ticket,
                                     std::size_t octets) {
  const std::optional<std::size_t> opened =
      TlsTicketKeys::of_process().open({ticket, octets}, {out, room}, base::read_clocks().instant);
  *written = opened.value_or(0);
  return opened ? ssl_ticket_aead_success : ssl_ticket_aead_ignore_ticket;
}

constexpr SSL_TICKET_AEAD_METHOD kTickets{&ticket_overhead, &seal_ticket, &open_ticket};

}  // namespace

base::Result<std::shared_ptr<const TlsServerContext>> make_tls_server_context(
    const std::vector<PemIdentity>& identities) {
  if (identities.empty()) return base::Error("TLS needs a certificate");
  std::vector<TlsIdentity> read;
  for (const PemIdentity& pem : identities) {
    base::Result<TlsIdentity> identity = read_identity(pem);
    if (!identity) return identity.error();
    if (identity->kind == TlsIdentity::Kind::OtherKey) {
      return base::Error("its key is neither RSA nor P-256 nor P-384").in(pem.source);
    }
    read.push_back(std::move(*identity));
  }
  return std::shared_ptr<const TlsServerContext>(
      std::make_shared<BoringServerContext>(std::move(read)));
}

BoringServerContext::BoringServerContext(std::vector<TlsIdentity> identities)
    : identities_(std::move(identities)), context_(SSL_CTX_new(TLS_with_buffers_method())) {
  MTA_ASSERT(context_ != nullptr && !identities_.empty());
  SSL_CTX_set_app_data(context_.get(), this);
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context_.get(), TLS1_3_VERSION);
  SSL_CTX_set_options(context_.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Sessions are with the clients, in their tickets; none are kept here.
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_ticket_aead_method(context_.get(), &kTickets);
  SSL_CTX_set_select_certificate_cb(context_.get(), &BoringServerContext::on_client_hello);
  const auto elliptic =
      std::find_if(identities_.begin(), identities_.end(), [this](const TlsIdentity& identity) {
        return identity.kind != TlsIdentity::Kind::Rsa &&
               share_a_name(identities_.front(), identity);
      });
  usual_ = elliptic != identities_.end() ? &*elliptic : &identities_.front();
  std::vector<CRYPTO_BUFFER*> chain = chain_of(*usual_);
  const int is_set = SSL_CTX_set_chain_and_key(context_.get(), chain.data(), chain.size(),
                                               usual_->key.get(), nullptr);
  MTA_ASSERT(is_set == 1);
}

ssl_select_cert_result_t BoringServerContext::on_client_hello(const SSL_CLIENT_HELLO* hello) {
  TlsOffer offer = offer_of(*hello);
  const auto* self =
      static_cast<const BoringServerContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(hello->ssl)));
  const TlsIdentity& identity = self->choose(*hello, offer);
  TlsEngine::of(*hello->ssl).note_offer(std::move(offer));
  if (&identity == self->usual_) return ssl_select_cert_success;
  std::vector<CRYPTO_BUFFER*> chain = chain_of(identity);
  const bool is_set = SSL_set_chain_and_key(hello->ssl, chain.data(), chain.size(),
                                            identity.key.get(), nullptr) == 1;
  return is_set ? ssl_select_cert_success : ssl_select_cert_error;
}

const TlsIdentity& BoringServerContext::choose(const SSL_CLIENT_HELLO& hello,
                                               const TlsOffer& offer) const {
  const std::string host = server_name_of(hello);
  const bool is_known =
      !host.empty() && std::any_of(identities_.begin(), identities_.end(),
                                   [&host](const TlsIdentity& i) { return covers(i, host); });
  // Who asks for a name that we have not may still take what we have: most check no names.
  const auto is_candidate = [&](const TlsIdentity& identity) {
    return is_known ? covers(identity, host) : share_a_name(identities_.front(), identity);
  };
  const TlsIdentity* chosen = nullptr;
  for (const TlsIdentity& identity : identities_) {
    if (!is_candidate(identity)) continue;
    if (chosen == nullptr) chosen = &identity;
    if (!takes(hello, offer, identity)) continue;
    // RSA costs this side 10 times as much, so an elliptic curve goes first.
    if (identity.kind != TlsIdentity::Kind::Rsa) return identity;
    if (!takes(hello, offer, *chosen)) chosen = &identity;
  }
  return *chosen;
}

}  // namespace rockdove::net
