// The server's side of one AUTH exchange (RFC 4954 §4): PLAIN (RFC 4616) and LOGIN, which devices
// still speak. Text in, the next challenge, the credentials or a refusal out; whether they are
// right is for others to say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "mta/smtp/reply.h"

namespace rockdove::smtp {

inline constexpr std::size_t kAuthLineOctetsMax = 12'288;  // RFC 4954 §4, without CRLF
inline constexpr std::size_t kUserOctetsMax = 255;
inline constexpr std::size_t kPasswordOctetsMax = 1024;

// The names of all mechanisms, as EHLO tells them.
inline constexpr std::string_view kAuthMechanisms = "PLAIN LOGIN";

enum class AuthMechanism : std::uint8_t { Plain, Login };

// In any case of letters; nullopt: one that we do not have.
[[nodiscard]] std::optional<AuthMechanism> find_auth_mechanism(std::string_view name);

// "PLAIN", "LOGIN".
[[nodiscard]] std::string_view auth_mechanism_name(AuthMechanism mechanism);

class SaslServer {
 public:
  // Neither is empty; the user name is UTF-8.
  struct Credentials {
    std::string user;
    std::string password;
  };

  // A Reply of 334 asks for the next line; any other one ends the exchange.
  using Step = std::variant<Reply, Credentials>;

  explicit SaslServer(AuthMechanism mechanism) : mechanism_(mechanism) {}

  // `initial` as it stood behind AUTH: base64, or "=" for an empty response.
  [[nodiscard]] Step start(std::optional<std::string_view> initial);
  // A line that answers a challenge, without its CRLF.
  [[nodiscard]] Step respond(std::string_view line);

 private:
  Step take(std::string response);
  Step take_plain(std::string_view response);
  Step take_login(std::string_view response);

  AuthMechanism mechanism_;
  std::optional<std::string> user_;  // LOGIN's, once it is known
};

}  // namespace rockdove::smtp
