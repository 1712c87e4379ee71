#include "mta/smtp/sasl_server.h"

#include <utility>

#include "mta/base/assert.h"
#include "mta/base/base64.h"
#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/base/wipe.h"

namespace rockdove::smtp {
namespace {

Reply challenge(std::string_view text) {
  return make_reply(334, "", base::encode_base64(text));
}

// RFC 4954 §6: the same words whatever is wrong with them.
Reply bad_credentials() {
  return make_reply(535, "5.7.8", "user name or password is wrong");
}

bool is_user(std::string_view user) {
  return !user.empty() && user.size() <= kUserOctetsMax && base::is_utf8(user);
}

bool is_password(std::string_view password) {
  return !password.empty() && password.size() <= kPasswordOctetsMax;
}

}  // namespace

std::optional<AuthMechanism> find_auth_mechanism(std::string_view name) {
  if (base::equals_ignoring_case(name, "PLAIN")) return AuthMechanism::Plain;
  if (base::equals_ignoring_case(name, "LOGIN")) return AuthMechanism::Login;
  return std::nullopt;
}

std::string_view auth_mechanism_name(AuthMechanism mechanism) {
  switch (mechanism) {
    case AuthMechanism::Plain:
      return "PLAIN";
    case AuthMechanism::Login:
      return "LOGIN";
  }
  return "";
}

SaslServer::Step SaslServer::start(std::optional<std::string_view> initial) {
  if (initial == "=") return take("");
  if (initial) return respond(*initial);
  switch (mechanism_) {
    case AuthMechanism::Plain:
      return challenge("");  // RFC 4616 §2: the client speaks first
    case AuthMechanism::Login:
      return challenge("Username:");
  }
  MTA_ASSERT(false);
}

SaslServer::Step SaslServer::respond(std::string_view line) {
  if (line == "*") return make_reply(501, "5.7.0", "given up, as you asked");  // RFC 4954 §4
  std::optional<std::string> response = base::decode_base64(line);
  if (!response) return make_reply(501, "5.5.2", "that is no base64");
  return take(std::move(*response));
}

SaslServer::Step SaslServer::take(std::string response) {
  Step step = mechanism_ == AuthMechanism::Plain ? take_plain(response) : take_login(response);
  base::wipe(response);
  return step;
}

// [authzid] NUL authcid NUL passwd, RFC 4616 §2.
SaslServer::Step SaslServer::take_plain(std::string_view response) {
  const std::size_t first = response.find('\0');
  const std::size_t second =
      first == std::string_view::npos ? first : response.find('\0', first + 1);
  if (second == std::string_view::npos || response.find('\0', second + 1) != std::string_view::npos)
    return make_reply(501, "5.5.2", "that is not what PLAIN sends");
  const std::string_view wanted = response.substr(0, first);
  const std::string_view user = response.substr(first + 1, second - first - 1);
  const std::string_view password = response.substr(second + 1);
  // Nobody acts for somebody else here.
  if ((!wanted.empty() && wanted != user) || !is_user(user) || !is_password(password))
    return bad_credentials();
  return Credentials{std::string(user), std::string(password)};
}

SaslServer::Step SaslServer::take_login(std::string_view response) {
  if (!user_) {
    user_ = response;
    return challenge("Password:");
  }
  if (!is_user(*user_) || !is_password(response)) return bad_credentials();
  return Credentials{*user_, std::string(response)};
}

}  // namespace rockdove::smtp
