// Two engines against each other, and identities that are made once: what the tests of TLS share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/net/tls.h"
#include "mta/net/tls_engine.h"

namespace rockdove::net {

inline constexpr std::chrono::hours kMonth{24 * 30};

// Self-signed, for this name; made once a process.
inline const PemIdentity& identity(const std::string& host, KeyKind kind) {
  static std::map<std::pair<std::string, KeyKind>, PemIdentity> made;
  const auto found = made.find({host, kind});
  if (found != made.end()) return found->second;
  return made
      .emplace(std::pair{host, kind},
               make_self_signed(host, kind, base::read_clocks().wall, kMonth).value())
      .first->second;
}

inline std::shared_ptr<const TlsServerContext> server_context(
    const std::vector<PemIdentity>& identities) {
  return make_tls_server_context(identities).value();
}

inline std::shared_ptr<const TlsServerContext> server_context() {
  return server_context({identity("mx.example", KeyKind::P256)});
}

inline std::shared_ptr<const TlsClientContext> client_context(const std::string& ca_file = {}) {
  return make_tls_client_context({ca_file}).value();
}

// One side, and what it has read.
struct Side {
  explicit Side(const StartTls& how) : engine(how) {}

  void hear(std::string_view ciphertext) {
    if (engine.state() == TlsEngine::State::Failed) return;
    std::vector<char> room(ciphertext.size() + TlsEngine::kRoomBeyond);
    text += engine.receive(ciphertext, room);
  }

  [[nodiscard]] bool is_open() const { return engine.state() == TlsEngine::State::Open; }

  [[nodiscard]] bool has_failed() const { return engine.state() == TlsEngine::State::Failed; }

  TlsEngine engine;
  std::string text;
};

struct Pair {
  Pair(const StartTlsAsServer& as_server, const StartTlsAsClient& as_client)
      : server(as_server), client(as_client) {}

  // Moves ciphertext to and fro, in pieces of this size, until both are silent.
  void run(std::size_t piece = 1U << 20) {
    if (!begun) client.engine.begin();
    begun = true;
    bool moved = true;
    while (moved) {
      moved = move(client, server, piece);
      moved = move(server, client, piece) || moved;
    }
  }

  static bool move(Side& from, Side& to, std::size_t piece) {
    const std::string all = std::exchange(from.engine.unsent(), {});
    for (std::size_t at = 0; at < all.size(); at += piece) {
      to.hear(std::string_view(all).substr(at, piece));
    }
    return !all.empty();
  }

  Side server;
  Side client;
  bool begun = false;
};

}  // namespace rockdove::net
