#include "mta/net/tls_tickets.h"

#include <algorithm>
#include <cstring>

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/rand.h>

namespace rockdove::net {

namespace {

// Its nonce is long enough to be random; no counter has to be shared by the loops.
const EVP_AEAD* cipher() {
  return EVP_aead_xchacha20_poly1305();
}

}  // namespace

TlsTicketKeys& TlsTicketKeys::of_process() {
  static TlsTicketKeys keys;
  return keys;
}

TlsTicketKeys::Key TlsTicketKeys::current(base::Instant now) {
  const std::lock_guard lock(mutex_);
  if (last_ && now < last_->since + kLife) return *last_;
  Key made;
  RAND_bytes(made.name.data(), made.name.size());
  RAND_bytes(made.secret.data(), made.secret.size());
  made.since = now;
  previous_ = last_;
  last_ = made;
  return made;
}

std::optional<TlsTicketKeys::Key> TlsTicketKeys::named(std::span<const std::uint8_t> name,
                                                       base::Instant now) {
  const std::lock_guard lock(mutex_);
  for (const std::optional<Key>& key : {last_, previous_}) {
    if (key && now < key->since + 2 * kLife &&
        std::equal(name.begin(), name.end(), key->name.begin()))
      return key;
  }
  return std::nullopt;
}

// A ticket is the key's name, the nonce, and the sealed session with its tag.
std::optional<std::size_t> TlsTicketKeys::seal(std::span<const std::uint8_t> session,
                                               std::span<std::uint8_t> out, base::Instant now) {
  constexpr std::size_t kBefore = kNameOctets + kNonceOctets;
  if (out.size() < session.size() + kOverheadMax) return std::nullopt;
  const Key key = current(now);
  std::array<std::uint8_t, kNonceOctets> nonce{};
  RAND_bytes(nonce.data(), nonce.size());
  // `session` may be the beginning of `out`.
  const std::span<std::uint8_t> body = out.subspan(kBefore);
  std::memmove(body.data(), session.data(), session.size());
  bssl::ScopedEVP_AEAD_CTX sealer;
  std::size_t sealed = 0;
  const bool is_good =
      EVP_AEAD_CTX_init(sealer.get(), cipher(), key.secret.data(), key.secret.size(),
                        EVP_AEAD_DEFAULT_TAG_LENGTH, nullptr) == 1 &&
      EVP_AEAD_CTX_seal(sealer.get(), body.data(), &sealed, body.size(), nonce.data(), nonce.size(),
                        body.data(), session.size(), key.name.data(), key.name.size()) == 1;
  ERR_clear_error();
  if (!is_good) return std::nullopt;
  std::copy(key.name.begin(), key.name.end(), out.begin());
  std::copy(nonce.begin(), nonce.end(), out.begin() + kNameOctets);
  return kBefore + sealed;
}

std::optional<std::size_t> TlsTicketKeys::open(std::span<const std::uint8_t> ticket,
                                               std::span<std::uint8_t> out, base::Instant now) {
  if (ticket.size() < kNameOctets + kNonceOctets) return std::nullopt;
  const std::optional<Key> key = named(ticket.first(kNameOctets), now);
  if (!key) return std::nullopt;
  const std::span<const std::uint8_t> nonce = ticket.subspan(kNameOctets, kNonceOctets);
  const std::span<const std::uint8_t> body = ticket.subspan(kNameOctets + kNonceOctets);
  bssl::ScopedEVP_AEAD_CTX opener;
  std::size_t opened = 0;
  const bool is_good =
      EVP_AEAD_CTX_init(opener.get(), cipher(), key->secret.data(), key->secret.size(),
                        EVP_AEAD_DEFAULT_TAG_LENGTH, nullptr) == 1 &&
      EVP_AEAD_CTX_open(opener.get(), out.data(), &opened, out.size(), nonce.data(), nonce.size(),
                        body.data(), body.size(), key->name.data(), key->name.size()) == 1;
  ERR_clear_error();
  if (!is_good) return std::nullopt;
  return opened;
}

}  // namespace rockdove::net
