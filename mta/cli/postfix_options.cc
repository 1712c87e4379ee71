#include "mta/cli/postfix_options.h"

#include <algorithm>

namespace rockdove::cli {

bool GivenOptions::has(char letter) const {
  return std::any_of(options.begin(), options.end(),
                     [letter](const GivenOption& one) { return one.letter == letter; });
}

std::string GivenOptions::value_of(char letter) const {
  const auto found =
      std::find_if(options.rbegin(), options.rend(),
                   [letter](const GivenOption& one) { return one.letter == letter; });
  return found == options.rend() ? std::string() : found->value;
}

GivenOptions read_options(const std::vector<std::string>& arguments, std::string_view letters) {
  GivenOptions given;
  bool only_rest = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (only_rest || argument.size() < 2 || argument[0] != '-') {
      given.rest.push_back(argument);
      continue;
    }
    if (argument == "--") {
      only_rest = true;
      continue;
    }
    // Several letters may stand together, a value behind the last.
    for (std::size_t at = 1; at < argument.size(); ++at) {
      const char letter = argument[at];
      const std::size_t known = letter == ':' ? std::string_view::npos : letters.find(letter);
      if (known == std::string_view::npos) {
        given.mistake = std::string("invalid option -- '") + letter + "'";
        return given;
      }
      if (letters.substr(known + 1, 1) != ":") {
        given.options.push_back({letter, ""});
        continue;
      }
      if (at + 1 < argument.size()) {
        given.options.push_back({letter, argument.substr(at + 1)});
      } else if (i + 1 < arguments.size()) {
        given.options.push_back({letter, arguments[++i]});
      } else {
        given.mistake = std::string("option requires an argument -- '") + letter + "'";
        return given;
      }
      break;
    }
  }
  return given;
}

std::string harmless(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
  }
  return clean;
}

}  // namespace rockdove::cli
