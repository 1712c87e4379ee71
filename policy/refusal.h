// What a check answers to mail that it refuses: the reply's parts, in words that say what is wrong
// and, where the operator has said so, whom to ask. This layer knows no SMTP; mta/inbound makes a
// reply of it.
#pragma once

#include <string>
#include <string_view>

namespace rockdove::policy {

inline constexpr std::size_t kContactOctetsMax = 200;
// Of a refusal's text, its contact included; a reply's line has 512 (RFC 5321 §4.5.3.1.5).
inline constexpr std::size_t kRefusalOctetsMax = 480;

struct Refusal {
  int code = 550;
  std::string enhanced = "5.7.1";
  std::string text;  // one line of printable ASCII, at most kRefusalOctetsMax octets

  bool operator==(const Refusal&) const = default;
};

// "<words>; to ask about it: <contact>". Without a contact the words alone. What is no printable
// ASCII becomes "?", and the words are cut where both are too long together.
[[nodiscard]] Refusal make_refusal(int code, std::string_view enhanced, std::string_view words,
                                   std::string_view contact);

}  // namespace rockdove::policy
