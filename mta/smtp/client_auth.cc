#include "mta/smtp/client_auth.h"

#include "mta/base/assert.h"
#include "mta/base/base64.h"
#include "mta/base/wipe.h"

namespace rockdove::smtp {
namespace {

// RFC 5321 §4.5.3.1.4; the initial response does not lift it (RFC 4954 §4).
constexpr std::size_t kCommandOctetsMax = 512;
constexpr std::string_view kPlainCommand = "AUTH PLAIN ";

std::size_t base64_octets(std::size_t octets) {
  return (octets + 2) / 3 * 4;
}

}  // namespace

void SecretLine::set(std::string_view before, std::string_view secret) {
  clear();
  text_.reserve(before.size() + base64_octets(secret.size()) + 2);  // it must not move
  text_.append(before);
  base::append_base64(text_, secret);
  text_.append("\r\n");
}

void SecretLine::take(std::size_t octets) {
  MTA_ASSERT(octets <= text_.size() - taken_);
  taken_ += octets;
  if (taken_ == text_.size()) clear();
}

void SecretLine::clear() {
  base::wipe(text_);
  taken_ = 0;
}

void ClientAuth::begin(SecretLine& line) {
  if (mechanism_ == Mechanism::Login) return line.set("AUTH LOGIN", "");
  const std::size_t response =
      base64_octets(credentials_->user.size() + credentials_->password.size() + 2);
  if (kPlainCommand.size() + response + 2 > kCommandOctetsMax) return line.set("AUTH PLAIN", "");
  say_plain(kPlainCommand, line);
  answers_ = 1;
}

void ClientAuth::answer(SecretLine& line) {
  ++answers_;
  if (mechanism_ == Mechanism::Plain && answers_ == 1) return say_plain("", line);
  if (mechanism_ == Mechanism::Login && answers_ == 1) return line.set("", credentials_->user);
  if (mechanism_ == Mechanism::Login && answers_ == 2) return line.set("", credentials_->password);
  cancelled_ = true;
  line.set("*", "");
}

void ClientAuth::hide_secrets(std::string& text) const {
  std::string message = plain_message();
  std::string encoded_message = base::encode_base64(message);
  std::string encoded_password = base::encode_base64(credentials_->password);
  for (const std::string_view secret :
       {std::string_view(encoded_message), std::string_view(encoded_password),
        std::string_view(credentials_->password)}) {
    if (secret.empty()) continue;
    for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
      text.replace(at, secret.size(), "…");
      at += std::string_view("…").size();
    }
  }
  base::wipe(message);
  base::wipe(encoded_message);
  base::wipe(encoded_password);
}

// RFC 4616 §2, without an identity to act for.
std::string ClientAuth::plain_message() const {
  std::string message;
  message.reserve(credentials_->user.size() + credentials_->password.size() + 2);
  message.append(1, '\0').append(credentials_->user);
  message.append(1, '\0').append(credentials_->password);
  return message;
}

void ClientAuth::say_plain(std::string_view before, SecretLine& line) const {
  std::string message = plain_message();
  line.set(before, message);
  base::wipe(message);
}

}  // namespace rockdove::smtp
