#include "policy/refusal.h"

#include <algorithm>

namespace rockdove::policy {
namespace {

std::string cleaned(std::string_view text) {
  std::string clean(text);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return clean;
}

}  // namespace

Refusal make_refusal(int code, std::string_view enhanced, std::string_view words,
                     std::string_view contact) {
  constexpr std::string_view kCut = "...";
  std::string tail;
  if (!contact.empty())
    tail = "; to ask about it: " + cleaned(contact.substr(0, kContactOctetsMax));
  std::string text = cleaned(words.substr(0, kRefusalOctetsMax));
  if (const std::size_t room = kRefusalOctetsMax - tail.size(); words.size() > room) {
    text.resize(room - kCut.size());
    text += kCut;
  }
  return Refusal{code, std::string(enhanced), text + tail};
}

}  // namespace rockdove::policy
