#include "mta/net/tls_engine.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "mta/base/assert.h"
#include "mta/base/counters.h"
#include "mta/base/ip_address.h"
#include "mta/net/tls_context.h"

namespace rockdove::net {

namespace {

std::uint16_t wire_version(TlsVersion version) {
  switch (version) {
    case TlsVersion::V1_0:
      return TLS1_VERSION;
    case TlsVersion::V1_1:
      return TLS1_1_VERSION;
    case TlsVersion::V1_2:
      return TLS1_2_VERSION;
    case TlsVersion::V1_3:
      return TLS1_3_VERSION;
  }
  return TLS1_2_VERSION;
}

TlsVersion version_of(const SSL& connection) {
  switch (SSL_version(&connection)) {
    case TLS1_VERSION:
      return TlsVersion::V1_0;
    case TLS1_1_VERSION:
      return TlsVersion::V1_1;
    case TLS1_2_VERSION:
      return TlsVersion::V1_2;
    default:
      return TlsVersion::V1_3;
  }
}

long on_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

int on_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

// The first error that is TLS's own; those before it are of the ciphers and say less.
std::uint32_t take_error() {
  std::uint32_t first = 0;
  while (const std::uint32_t code = ERR_get_error()) {
    if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
      first = code;
      break;
    }
    if (first == 0) first = code;
  }
  ERR_clear_error();
  return first;
}

// An alert in clear (RFC 8446 §5.1, §6) at the end of what arrived, or 0. OpenSSL's clients say so
// that they do not trust a certificate, also when this side takes nothing in clear any more.
int clear_alert(std::string_view octets) {
  constexpr std::size_t kAlertRecordOctets = 7;
  if (octets.size() < kAlertRecordOctets) return 0;
  octets.remove_prefix(octets.size() - kAlertRecordOctets);
  const bool is_alert = octets.substr(0, 2) == "\x15\x03" &&
                        octets.substr(3, 3) == std::string_view("\x00\x02\x02", 3);
  return is_alert ? static_cast<unsigned char>(octets.back()) : 0;
}

}  // namespace

std::string_view tls_version_name(TlsVersion version) {
  switch (version) {
    case TlsVersion::V1_0:
      return "TLSv1.0";
    case TlsVersion::V1_1:
      return "TLSv1.1";
    case TlsVersion::V1_2:
      return "TLSv1.2";
    case TlsVersion::V1_3:
      return "TLSv1.3";
  }
  return "TLS";
}

std::string describe(const TlsInfo& info) {
  return std::string(tls_version_name(info.version)) + " " + info.cipher;
}

void TlsEngine::Free::operator()(ssl_st* connection) const {
  SSL_free(connection);
}

const void* TlsEngine::io_method() {
  static const BIO_METHOD* method = [] {
    BIO_METHOD* made = BIO_meth_new(0, "rockdove memory");
    MTA_ASSERT(made != nullptr);
    BIO_meth_set_create(made, on_create);
    BIO_meth_set_read(made, &TlsEngine::on_read);
    BIO_meth_set_write(made, &TlsEngine::on_write);
    BIO_meth_set_ctrl(made, on_control);
    return made;
  }();
  return method;
}

int TlsEngine::on_read(BIO* bio, char* room, int octets) {
  TlsEngine& self = *static_cast<TlsEngine*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (self.arriving_.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t taken = std::min(static_cast<std::size_t>(octets), self.arriving_.size());
  std::memcpy(room, self.arriving_.data(), taken);
  self.arriving_.remove_prefix(taken);
  return static_cast<int>(taken);
}

int TlsEngine::on_write(BIO* bio, const char* data, int octets) {
  TlsEngine& self = *static_cast<TlsEngine*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  self.unsent_.append(data, static_cast<std::size_t>(octets));
  return octets;
}

TlsEngine& TlsEngine::of(const ssl_st& connection) {
  return *static_cast<TlsEngine*>(SSL_get_app_data(&connection));
}

TlsEngine::TlsEngine(const StartTls& how) {
  ERR_clear_error();
  std::visit([this](const auto& as_which) { set_up(as_which); }, how);
}

TlsEngine::~TlsEngine() = default;

void TlsEngine::make(void* context, TlsVersion least) {
  least_ = least;
  connection_.reset(SSL_new(static_cast<SSL_CTX*>(context)));
  MTA_ASSERT(connection_ != nullptr);
  SSL_set_app_data(connection_.get(), this);
  SSL_set_min_proto_version(connection_.get(), wire_version(least));
  // What only the handshake needs goes with it.
  SSL_set_shed_handshake_config(connection_.get(), 1);
  BIO* bio = BIO_new(static_cast<const BIO_METHOD*>(io_method()));
  MTA_ASSERT(bio != nullptr);
  BIO_set_data(bio, this);
  SSL_set_bio(connection_.get(), bio, bio);  // takes the one reference for both
}

void TlsEngine::set_up(const StartTlsAsServer& how) {
  const auto* context = dynamic_cast<const BoringServerContext*>(how.context.get());
  MTA_ASSERT(context != nullptr);
  context_ = how.context;
  make(context->context(), how.least);
  SSL_set_accept_state(connection_.get());
}

void TlsEngine::set_up(const StartTlsAsClient& how) {
  client_ = dynamic_cast<const BoringClientContext*>(how.context.get());
  MTA_ASSERT(client_ != nullptr);
  context_ = how.context;
  verify_ = how.verify;
  host_ = how.host;
  if (!host_.empty() && host_.back() == '.') host_.pop_back();
  make(client_->context(), how.least);
  SSL* connection = connection_.get();
  SSL_set_connect_state(connection);
  // RFC 6066 §3: no addresses.
  if (!host_.empty() && !base::parse_ip_address(host_)) {
    SSL_set_tlsext_host_name(connection, host_.c_str());
    ERR_clear_error();  // one that cannot be a name of TLS is not sent
  }
  session_key_ = host_ + ':' + std::to_string(how.port) +
                 (verify_ == TlsVerify::NameAndChain ? " verified " : " ") +
                 std::string(tls_version_name(how.least));
  if (const bssl::UniquePtr<SSL_SESSION> session = client_->sessions().take(session_key_)) {
    SSL_set_session(connection, session.get());
  }
}

bool TlsEngine::judge_certificate(std::uint8_t& alert) {
  if (verify_ == TlsVerify::Nothing) return true;
  TlsAuthorities::Judgement judgement = client_->authorities().judge(*connection_, host_);
  if (judgement.fault.empty()) return true;
  alert = judgement.alert;
  failure_ = std::move(judgement.fault);
  return false;
}

void TlsEngine::begin() {
  if (client_ != nullptr) shake_hands();
}

void TlsEngine::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(connection_.get());
  if (result == 1) {
    state_ = State::Open;
    base::count_nth(client_ != nullptr ? base::Counter::TlsClient10 : base::Counter::TlsServer10,
                    static_cast<unsigned>(version_of(*connection_)));
    std::string().swap(first_octets_);
    offer_ = TlsOffer();
    return;
  }
  judge_result(result);
}

// Of a call that did not do all that it was asked for.
void TlsEngine::judge_result(int result) {
  switch (SSL_get_error(connection_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return;
    case SSL_ERROR_ZERO_RETURN:
      if (state_ == State::Open) {
        peer_has_closed_ = true;
        return;
      }
      failure_ = "the peer closed the connection within the handshake";
      [[fallthrough]];
    default:
      return fail();
  }
}

void TlsEngine::fail() {
  if (failure_.empty()) {
    TlsTrouble trouble;
    trouble.we_are_server = client_ == nullptr;
    trouble.was_open = state_ == State::Open;
    trouble.error = take_error();
    trouble.clear_alert = clear_alert_;
    trouble.least = least_;
    trouble.offer = std::move(offer_);
    trouble.first_octets = first_octets_;
    failure_ = describe_tls_trouble(trouble);
  }
  ERR_clear_error();
  state_ = State::Failed;
  arriving_ = {};
}

std::string_view TlsEngine::receive(std::string_view ciphertext, std::span<char> room) {
  MTA_ASSERT(state_ != State::Failed && room.size() >= ciphertext.size() + kRoomBeyond);
  arriving_ = ciphertext;
  if (state_ == State::Handshaking) {
    if (first_octets_.size() < kFirstOctetsMax) {
      first_octets_.append(ciphertext.substr(0, kFirstOctetsMax - first_octets_.size()));
    }
    clear_alert_ = clear_alert(ciphertext);
    shake_hands();
  }
  std::size_t written = 0;
  while (state_ == State::Open && !peer_has_closed_) {
    ERR_clear_error();
    const int result =
        SSL_read(connection_.get(), room.data() + written, static_cast<int>(room.size() - written));
    if (result <= 0) {
      judge_result(result);
      break;
    }
    written += static_cast<std::size_t>(result);
    MTA_ASSERT(written < room.size());  // kRoomBeyond is more than a record
  }
  // What stands behind a close_notify has no reader.
  arriving_ = {};
  return {room.data(), written};
}

void TlsEngine::send(std::string_view plaintext) {
  MTA_ASSERT(state_ == State::Open && !is_closed_);
  ERR_clear_error();
  while (!plaintext.empty()) {
    const int octets = static_cast<int>(std::min<std::size_t>(plaintext.size(), 1U << 30));
    const int result = SSL_write(connection_.get(), plaintext.data(), octets);
    if (result <= 0) return fail();
    plaintext.remove_prefix(static_cast<std::size_t>(result));
  }
}

void TlsEngine::close() {
  if (state_ != State::Open || is_closed_) return;
  is_closed_ = true;
  ERR_clear_error();
  SSL_shutdown(connection_.get());
  ERR_clear_error();
}

TlsInfo TlsEngine::info() const {
  MTA_ASSERT(state_ == State::Open);
  const SSL* connection = connection_.get();
  TlsInfo info;
  info.version = version_of(*connection);
  const SSL_CIPHER* cipher = SSL_get_current_cipher(connection);
  info.cipher = info.version == TlsVersion::V1_3 ? SSL_CIPHER_standard_name(cipher)
                                                 : SSL_CIPHER_get_name(cipher);
  info.resumed = SSL_session_reused(connection) == 1;
  info.verified = client_ != nullptr && verify_ == TlsVerify::NameAndChain;
  const char* asked = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
  if (client_ != nullptr) {
    if (!base::parse_ip_address(host_)) info.server_name = host_;
  } else if (asked != nullptr) {
    info.server_name = asked;
  }
  return info;
}

}  // namespace rockdove::net
