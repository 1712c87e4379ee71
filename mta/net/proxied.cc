#include "mta/net/proxied.h"

#include <optional>
#include <string>
#include <utility>

#include "mta/net/proxy_header.h"

namespace rockdove::net {
namespace {

class Proxied final : public Protocol, private Wire {
 public:
  explicit Proxied(ProxiedHandlers handlers) : handlers_(std::move(handlers)) {}

  void connected(Wire& wire, const ConnectionInfo& info, base::Now now) override {
    wire_ = &wire;
    info_ = info;
    deadline_ = now.instant + kProxyHeaderTime;
  }

  void receive(std::string_view bytes, base::Now now) override {
    if (inner_ != nullptr) return inner_->receive(bytes, now);
    if (is_over_) return;
    received_.append(bytes);  // bounded: the parser decides at kProxyHeaderOctetsMax at the latest
    const ParsedProxyHeader parsed = parse_proxy_header(received_);
    if (const auto* error = std::get_if<base::Error>(&parsed)) return refuse(error->text());
    if (const auto* header = std::get_if<ProxyHeader>(&parsed)) begin(*header, now);
  }

  void peer_closed(base::Now now) override {
    if (inner_ != nullptr) return inner_->peer_closed(now);
    refuse("it ended before the PROXY header");
  }

  void lost(const Loss& loss, base::Now now) override {
    if (inner_ != nullptr) return inner_->lost(loss, now);
    refuse("it ended before the PROXY header: " + describe(loss));
  }

  void deadline_reached(base::Now now) override {
    if (inner_ != nullptr) return inner_->deadline_reached(now);
    refuse("there was no PROXY header in time");
  }

  void turn(base::Now now) override {
    if (inner_ != nullptr) inner_->turn(now);
  }

  void tls_started(const TlsInfo& info, base::Now now) override { inner_->tls_started(info, now); }

  [[nodiscard]] std::string_view output() const override {
    return inner_ != nullptr ? inner_->output() : std::string_view();
  }

  void output_sent(std::size_t octets, base::Now now) override {
    if (inner_ != nullptr) inner_->output_sent(octets, now);
  }

  [[nodiscard]] base::Instant deadline() const override {
    return inner_ != nullptr ? inner_->deadline() : deadline_;
  }

  [[nodiscard]] bool wants_input() const override {
    return inner_ != nullptr ? inner_->wants_input() : !is_over_;
  }

  [[nodiscard]] bool is_over() const override {
    return inner_ != nullptr ? inner_->is_over() : is_over_;
  }

 private:
  void begin(const ProxyHeader& header, base::Now now) {
    ConnectionInfo info = info_;
    if (header.ends) {
      info.peer = header.ends->client;
      info.local = header.ends->called;
    }
    received_.erase(0, header.octets);
    inner_ = handlers_.make(info);
    inner_->connected(*this, info, now);
    if (!tls_begun_ && !received_.empty()) inner_->receive(received_, now);
    std::string().swap(received_);
  }

  void refuse(std::string_view why) {
    if (std::exchange(is_over_, true)) return;
    deadline_ = base::kNever;
    handlers_.refused(why);
  }

  // The inner protocol's wire.
  void want_turn() override { wire_->want_turn(); }

  void start_tls(StartTls how) override {
    tls_begun_ = true;
    // What came behind the header is already the handshake of a client that speaks TLS first.
    if (auto* as_server = std::get_if<StartTlsAsServer>(&how))
      as_server->received = std::exchange(received_, {});
    wire_->start_tls(std::move(how));
  }

  ProxiedHandlers handlers_;
  Wire* wire_ = nullptr;
  ConnectionInfo info_;
  base::Instant deadline_ = base::kNever;
  std::string received_;
  bool is_over_ = false;
  bool tls_begun_ = false;
  std::unique_ptr<Protocol> inner_;
};

}  // namespace

std::unique_ptr<Protocol> make_proxied(ProxiedHandlers handlers) {
  return std::make_unique<Proxied>(std::move(handlers));
}

}  // namespace rockdove::net
