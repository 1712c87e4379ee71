#include "tests/unit/smtp/dialogue.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

namespace rockdove::smtp {

std::string unescape(std::string_view text) {
  std::string octets;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      octets += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'r':
        octets += '\r';
        break;
      case 'n':
        octets += '\n';
        break;
      case '0':
        octets += '\0';
        break;
      case 'x':
        octets += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
        i += 2;
        break;
      case '{': {
        const std::size_t blank = text.find(' ', i);
        const std::size_t end = text.find('}', i);
        REQUIRE((blank < end && end != std::string_view::npos));
        const int times = std::stoi(std::string(text.substr(i + 1, blank - i - 1)));
        const std::string part = unescape(text.substr(blank + 1, end - blank - 1));
        for (int n = 0; n < times; ++n) octets += part;
        i = end;
        break;
      }
      default:
        octets += text[i];
    }
  }
  return octets;
}

std::vector<std::string> words_of(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::vector<Dialogue> read_dialogues(std::string_view folder) {
  const std::filesystem::path path = std::filesystem::path(ROCKDOVE_DIALOGUES) / folder;
  std::vector<Dialogue> dialogues;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    Dialogue dialogue{entry.path().filename().string(), {}};
    std::ifstream stream(entry.path());
    std::size_t number = 0;
    for (std::string line; std::getline(stream, line);) {
      ++number;
      if (line.empty() || line[0] == '#') continue;
      INFO(dialogue.name << ":" << number);
      REQUIRE(line.size() >= 2);
      const bool raw = line[1] == '|';
      REQUIRE((raw || line[1] == ':'));
      const std::string text = line.size() > 3 ? line.substr(3) : "";
      dialogue.lines.push_back({raw ? line.substr(0, 2) : line.substr(0, 1), text, number});
    }
    dialogues.push_back(std::move(dialogue));
  }
  REQUIRE_FALSE(dialogues.empty());
  std::sort(dialogues.begin(), dialogues.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return dialogues;
}

}  // namespace rockdove::smtp
