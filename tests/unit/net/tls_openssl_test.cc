// OpenSSL's own tools as peers, over real sockets: `openssl s_client` and `openssl s_server`.
#include <cstdio>
#include <fstream>
#include <memory>

#include "net_world.h"
#include "tests/support/temporary_directory.h"
#include "tls_authority.h"
#include "tls_pair.h"

namespace rockdove::net {

using Catch::Matchers::Contains;

namespace {

using Process = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Process start(const std::string& command) {
  return {popen((command + " 2>&1").c_str(), "re"), &pclose};
}

std::string read_until(std::FILE* file, std::string_view mark) {
  std::string text;
  char line[4096];
  while (text.find(mark) == std::string::npos && std::fgets(line, sizeof line, file) != nullptr) {
    text += line;
  }
  return text;
}

std::string output_of(const std::string& command) {
  const Process process = start("timeout 30 " + command);
  return read_until(process.get(), std::string_view("\xff", 1));
}

const Authority& authority() {
  static const Authority one("OpenSSL's Authority");
  return one;
}

// Answers one line and ends.
void answer_once(Puppet& puppet, const std::shared_ptr<const TlsServerContext>& context,
                 const std::shared_ptr<TlsInfo>& seen) {
  puppet.when_connected = [context](Puppet& self) {
    self.wire->start_tls(StartTlsAsServer{context, TlsVersion::V1_0});
  };
  puppet.when_tls_started = [seen](Puppet&, const TlsInfo& info) { *seen = info; };
  puppet.when_received = [](Puppet& self) {
    self.to_send = "you said " + self.arrived;
    self.over = true;
  };
}

}  // namespace

TEST_CASE("openssl s_client speaks each version with us and verifies our chain") {
  const tests::TemporaryDirectory directory;
  const std::string ca = directory.path() + "/ca.pem";
  std::ofstream(ca) << authority().pem();
  const auto context = server_context({authority().issue({{"mx.example"}})});
  for (const auto& [option, version] :
       {std::pair{"-tls1_3", "TLSv1.3"}, std::pair{"-tls1_2", "TLSv1.2"},
        std::pair{"-tls1_1", "TLSv1.1"}, std::pair{"-tls1", "TLSv1.0"}}) {
    const auto heard = std::make_shared<Heard>();
    const auto seen = std::make_shared<TlsInfo>();
    NetWorld world;
    const base::SocketAddress address =
        world.serve(heard, [&](Puppet& puppet) { answer_once(puppet, context, seen); });
    const std::string output = output_of(
        "sh -c 'printf \"hello\\n\" | openssl s_client -connect 127.0.0.1:" +
        std::to_string(address.port) + " -servername mx.example -verify_hostname mx.example " +
        option + " -cipher DEFAULT@SECLEVEL=0 -verify_return_error -quiet -CAfile " + ca + "'");
    INFO(version << ": " << output);
    CHECK_THAT(output, Contains("you said hello"));
    CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
    world.ask([&] {
      CHECK(tls_version_name(seen->version) == version);
      CHECK(seen->server_name == "mx.example");
      CHECK(heard->losses.empty());
    });
  }
}

TEST_CASE("openssl s_client that does not trust us tells us so, and we say it") {
  const auto heard = std::make_shared<Heard>();
  const auto seen = std::make_shared<TlsInfo>();
  const auto context = server_context();
  NetWorld world;
  const base::SocketAddress address =
      world.serve(heard, [&](Puppet& puppet) { answer_once(puppet, context, seen); });
  output_of("openssl s_client -connect 127.0.0.1:" + std::to_string(address.port) +
            " -verify_return_error -verify 1 < /dev/null");
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
  world.ask([&] {
    REQUIRE(heard->losses.size() == 1);
    CHECK_THAT(describe(heard->losses[0]),
               Contains("TLS failed: the peer does not trust our certificate (alert "));
  });
}

TEST_CASE("a client that negotiates again is refused") {
  const auto heard = std::make_shared<Heard>();
  const auto seen = std::make_shared<TlsInfo>();
  const auto context = server_context();
  NetWorld world;
  const base::SocketAddress address = world.serve(heard, [&](Puppet& puppet) {
    answer_once(puppet, context, seen);
    puppet.when_received = {};
  });
  output_of("sh -c '(sleep 0.3; echo R; sleep 1) | openssl s_client -tls1_2 -connect 127.0.0.1:" +
            std::to_string(address.port) + "'");
  CHECK(world.comes_true([&] { return heard->destroyed == 1 || heard->peer_closed == 1; }));
  world.ask([&] { CHECK(heard->octets == 0); });
}

TEST_CASE("we speak each version with openssl s_server, resume its sessions and verify it") {
  const tests::TemporaryDirectory directory;
  const std::string ca = directory.path() + "/ca.pem";
  const std::string certificate = directory.path() + "/server.pem";
  std::ofstream(ca) << authority().pem();
  const PemIdentity issued = authority().issue({{"mx.example"}});
  std::ofstream(certificate) << issued.certificate << issued.key;
  for (const auto& [option, version] :
       {std::pair{"-tls1_3", "TLSv1.3"}, std::pair{"-tls1_2", "TLSv1.2"},
        std::pair{"-tls1_1", "TLSv1.1"}, std::pair{"-tls1", "TLSv1.0"}}) {
    const Process process =
        start("timeout 30 openssl s_server -accept 127.0.0.1:0 -naccept 2 -rev " +
              std::string(option) + " -cipher DEFAULT@SECLEVEL=0 -cert " + certificate);
    const std::string begun = read_until(process.get(), "ACCEPT 127.0.0.1:");
    INFO(version << ": " << begun);
    const std::size_t at = begun.rfind(':');
    REQUIRE(at != std::string::npos);
    const auto port = static_cast<std::uint16_t>(std::stoi(begun.substr(at + 1)));
    const auto context = client_context(ca);
    NetWorld world;
    for (const bool resumed : {false, true}) {
      const auto heard = std::make_shared<Heard>();
      const auto seen = std::make_shared<TlsInfo>();
      world.connect({{base::IpAddress::v4({127, 0, 0, 1}), port}, {}}, heard, [&](Puppet& puppet) {
        puppet.when_connected = [context](Puppet& self) {
          self.wire->start_tls(StartTlsAsClient{context, "mx.example", 25, TlsVerify::NameAndChain,
                                                TlsVersion::V1_0});
        };
        puppet.when_tls_started = [seen](Puppet& self, const TlsInfo& info) {
          *seen = info;
          self.to_send = "hello\n";
        };
        puppet.when_received = [](Puppet& self) {
          if (self.arrived.find("olleh") == std::string::npos) return;
          self.to_send = "CLOSE\n";  // s_server's word for the end, before it turns lines round
          self.over = true;
        };
      });
      CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
      world.ask([&] {
        for (const Loss& loss : heard->losses) FAIL_CHECK(describe(loss));
        CHECK(tls_version_name(seen->version) == version);
        CHECK(seen->verified);
        CHECK(seen->resumed == resumed);
        CHECK_THAT(heard->text, Contains("olleh"));
      });
    }
  }
}

}  // namespace rockdove::net
