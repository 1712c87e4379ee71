// Dialogues as text, in tests/data/dialogues/{server,client}/*.txt. A line is a key, ": " and text:
//
//   #  a comment               C:  a line of the client's, CRLF is added
//   S:  a line of the server's C|  octets of the client's, as they are
//   E:  an event               !:  something done to the session, with its words
//
// In a text, \r \n \0 \\ and \xNN stand for octets, and \{64 ab} for "ab" 64 times.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rockdove::smtp {

struct DialogueLine {
  std::string key;  // "C", "S", "C|", "E", "!"
  std::string text;
  std::size_t number = 0;  // in the file
};

struct Dialogue {
  std::string name;
  std::vector<DialogueLine> lines;
};

// All dialogues of one folder, in the order of their names; the test fails if there are none.
std::vector<Dialogue> read_dialogues(std::string_view folder);

std::string unescape(std::string_view text);
std::vector<std::string> words_of(std::string_view text);

}  // namespace rockdove::smtp
