// TLS records against the engine, in both roles. Any octets, cut anywhere: the state at the end is
// the same, nothing is told to the protocol, what goes back is bounded. And two engines whose
// octets are cut by the input and changed where it says so: whatever happens, each side reads a
// beginning of what the other said, and nothing else; unchanged, it reads all.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mta/net/tls_engine.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;
using net::TlsEngine;

constexpr std::size_t kUnsentMax = 64 * 1024;

const net::StartTls& as_server() {
  static const net::StartTls how = [] {
    const auto identity =
        net::make_self_signed("mx.example", net::KeyKind::P256, base::read_clocks().wall,
                              std::chrono::hours(24 * 3650))
            .value();
    return net::StartTlsAsServer{net::make_tls_server_context({identity}).value(),
                                 net::TlsVersion::V1_0};
  }();
  return how;
}

const net::StartTls& as_client() {
  static const net::StartTls how =
      net::StartTlsAsClient{net::make_tls_client_context({}).value(), "mx.example", 25,
                            net::TlsVerify::Nothing, net::TlsVersion::V1_0};
  return how;
}

struct Side {
  explicit Side(const net::StartTls& how) : engine(how) { engine.begin(); }

  [[nodiscard]] bool is_open() const { return engine.state() == TlsEngine::State::Open; }

  void hear(std::string_view octets) {
    if (engine.state() == TlsEngine::State::Failed) return;
    std::vector<char> room(octets.size() + TlsEngine::kRoomBeyond);
    text += engine.receive(octets, room);
    FUZZ_CHECK(engine.unsent().size() <= kUnsentMax);
    FUZZ_CHECK((engine.state() == TlsEngine::State::Failed) == !engine.failure().empty());
  }

  TlsEngine engine;
  std::string text;
};

TlsEngine::State state_after(const net::StartTls& how, std::string_view octets, std::size_t piece) {
  Side side(how);
  for (std::size_t at = 0; at < octets.size(); at += piece) side.hear(octets.substr(at, piece));
  FUZZ_CHECK(side.text.empty() && !side.is_open());
  return side.engine.state();
}

void raw(const net::StartTls& how, fuzz::Choices& choices) {
  const std::size_t piece = 1 + choices.next(300);
  const std::string_view octets = choices.rest();
  FUZZ_CHECK(state_after(how, octets, octets.size() + 1) == state_after(how, octets, piece));
}

// What becomes of octets on the way. True if it left them as they are.
bool change(std::string& octets, fuzz::Choices& choices) {
  if (octets.empty() || choices.next(4) != 1) return true;
  const std::size_t at = choices.next(65'536) % octets.size();
  switch (choices.next(4)) {
    case 0:
      octets[at] = static_cast<char>(octets[at] ^ static_cast<char>(1 + choices.next(255)));
      return false;
    case 1:
      octets.resize(at);
      return false;
    case 2:
      octets.insert(at, choices.next_text(1 + choices.next(40)));
      return false;
    default:
      octets.insert(at, octets.substr(0, at));  // said twice
      return at == 0;
  }
}

void pair(fuzz::Choices& choices) {
  Side server(as_server());
  Side client(as_client());
  std::string said[2];
  bool is_unchanged = true;
  for (int round = 0; round < 12; ++round) {
    for (const bool to_server : {true, false}) {
      Side& from = to_server ? client : server;
      Side& to = to_server ? server : client;
      if (from.is_open() && choices.next(2) == 1) {
        const std::string words(choices.next(3'000), static_cast<char>('a' + round));
        from.engine.send(words);
        said[to_server ? 0 : 1] += words;
      }
      std::string octets = std::exchange(from.engine.unsent(), {});
      is_unchanged = change(octets, choices) && is_unchanged;
      const std::size_t piece = 1 + choices.next(2'000);
      for (std::size_t at = 0; at < octets.size(); at += piece) {
        to.hear(std::string_view(octets).substr(at, piece));
      }
    }
  }
  FUZZ_CHECK(said[0].substr(0, server.text.size()) == server.text);
  FUZZ_CHECK(said[1].substr(0, client.text.size()) == client.text);
  if (!is_unchanged) return;
  FUZZ_CHECK(server.is_open() && client.is_open());
  FUZZ_CHECK(server.text == said[0] && client.text == said[1]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  switch (choices.next(3)) {
    case 0:
      raw(as_server(), choices);
      break;
    case 1:
      raw(as_client(), choices);
      break;
    default:
      pair(choices);
      break;
  }
  return 0;
}
