// The client's half of AUTH (RFC 4954) with PLAIN (RFC 4616) and LOGIN: what to say first, and what
// to each 334. The conversation itself is the session's. Lines with a password in them live in a
// SecretLine, which is overwritten when it is done with, and are never part of a log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace rockdove::smtp {

struct ClientCredentials {
  std::string user;
  std::string password;
};

// A line to be sent, its CRLF included. Its memory is overwritten as soon as it is empty.
class SecretLine {
 public:
  SecretLine() = default;

  ~SecretLine() { clear(); }

  SecretLine(const SecretLine&) = delete;
  SecretLine& operator=(const SecretLine&) = delete;

  // In place of what was there. `secret` goes in as base64.
  void set(std::string_view before, std::string_view secret);
  void take(std::size_t octets);
  void clear();

  [[nodiscard]] bool is_empty() const { return taken_ == text_.size(); }

  [[nodiscard]] std::string_view view() const { return std::string_view(text_).substr(taken_); }

 private:
  std::string text_;
  std::size_t taken_ = 0;
};

class ClientAuth {
 public:
  enum class Mechanism : std::uint8_t { Plain, Login };

  ClientAuth(Mechanism mechanism, std::shared_ptr<const ClientCredentials> credentials)
      : mechanism_(mechanism), credentials_(std::move(credentials)) {}

  // The AUTH command, with the initial response if the line may be that long.
  void begin(SecretLine& line);
  // To a 334, whatever it asks. What has no answer any more is cancelled ("*").
  void answer(SecretLine& line);

  // Overwrites what of the user's password stands in `text`, in any form that was sent.
  void hide_secrets(std::string& text) const;

  // After the "*" only a refusal may follow.
  [[nodiscard]] bool is_cancelled() const { return cancelled_; }

 private:
  [[nodiscard]] std::string plain_message() const;
  void say_plain(std::string_view before, SecretLine& line) const;

  Mechanism mechanism_;
  std::shared_ptr<const ClientCredentials> credentials_;
  unsigned answers_ = 0;  // given, the initial response included
  bool cancelled_ = false;
};

}  // namespace rockdove::smtp
