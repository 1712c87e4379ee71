#include "mta/mail/encoded_word.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iconv.h>
#include <optional>

#include "mta/base/base64.h"
#include "mta/base/text.h"
#include "mta/base/utf8.h"

namespace rockdove::mail {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::size_t kCharsetOctetsMax = 40;
constexpr std::size_t kCharsetEndMax = 200;  // looked at, with a language (RFC 2231 §5)

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lowered = base::to_lower(c);
  return lowered >= 'a' && lowered <= 'f' ? lowered - 'a' + 10 : -1;
}

struct EncodedWord {
  std::string charset;
  std::string octets;
  std::size_t taken = 0;  // of the text
};

// RFC 2047 §4.2.
std::optional<std::string> decode_q(std::string_view text) {
  std::string octets;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_') {
      octets += ' ';
    } else if (text[i] != '=') {
      octets += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      octets += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  return octets;
}

// RFC 2047 §4.1, also without the padding, which some leave out.
std::optional<std::string> decode_b(std::string_view text) {
  std::string padded(text);
  while (padded.size() % 4 != 0 && !padded.ends_with("==")) padded += '=';
  return base::decode_base64(padded);
}

// The encoded word at the front of `text`: "=?" charset ["*" language] "?" encoding "?" text "?=".
std::optional<EncodedWord> read_word(std::string_view text) {
  if (!text.starts_with("=?")) return std::nullopt;
  const std::size_t charset_end = text.substr(0, kCharsetEndMax).find('?', 2);
  if (charset_end == std::string_view::npos || charset_end + 3 >= text.size() ||
      text[charset_end + 2] != '?')
    return std::nullopt;
  const std::size_t start = charset_end + 3;
  // No further than the first that cannot stand in one, so that many beginnings cost little.
  const std::size_t end = text.find_first_of(" \t\r\n?", start);
  if (end == std::string_view::npos || !text.substr(end).starts_with("?=")) return std::nullopt;
  const std::string_view coded = text.substr(start, end - start);
  const std::string_view charset = text.substr(2, charset_end - 2);
  EncodedWord word;
  word.charset = base::lower_case(charset.substr(0, charset.find('*')));  // RFC 2231 §5
  word.taken = end + 2;
  const char encoding = base::to_lower(text[charset_end + 1]);
  std::optional<std::string> octets;
  if (encoding == 'q') octets = decode_q(coded);
  if (encoding == 'b') octets = decode_b(coded);
  if (!octets) return std::nullopt;
  word.octets = std::move(*octets);
  return word;
}

void append_utf8(std::string& out, std::string_view octets) {
  bool replaced = false;
  while (!octets.empty()) {
    const bool is_one = static_cast<unsigned char>(octets.front()) < 128;
    const std::size_t count = is_one ? 1 : base::utf8_sequence(octets);
    if (count > 0) out.append(octets.substr(0, count));
    if (count == 0 && !replaced) out += kReplacement;
    replaced = count == 0;
    octets.remove_prefix(std::max<std::size_t>(count, 1));
  }
}

// A name that iconv may see: no "//TRANSLIT" behind it, no path in it.
bool is_charset(std::string_view name) {
  return !name.empty() && name.size() <= kCharsetOctetsMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == ':' || c == '.';
         });
}

class Converter {
 public:
  explicit Converter(const std::string& charset)
      : handle_(is_charset(charset) ? iconv_open("UTF-8", charset.c_str()) : kNone) {}

  ~Converter() {
    if (handle_ != kNone) iconv_close(handle_);
  }

  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;

  [[nodiscard]] bool is_known() const { return handle_ != kNone; }

  void append(std::string& out, std::string octets) {
    char* from = octets.data();
    std::size_t left = octets.size();
    bool replaced = false;
    while (left > 0) {
      std::array<char, 1024> buffer{};
      char* to = buffer.data();
      std::size_t room = buffer.size();
      const std::size_t before = left;
      const std::size_t result = iconv(handle_, &from, &left, &to, &room);
      const bool failed = result == static_cast<std::size_t>(-1);
      const bool full = failed && errno == E2BIG;
      if (left != before) replaced = false;
      out.append(buffer.data(), buffer.size() - room);
      if (!failed || full) continue;
      if (!replaced) out += kReplacement;
      replaced = true;
      ++from;
      --left;
    }
  }

 private:
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how iconv says that there is none
  inline static const iconv_t kNone = reinterpret_cast<iconv_t>(-1);

  iconv_t handle_;
};

void append_decoded(std::string& out, const EncodedWord& word) {
  std::string decoded;
  Converter converter(word.charset);
  if (word.charset == "utf-8" || !converter.is_known()) {
    append_utf8(decoded, word.octets);
  } else {
    converter.append(decoded, word.octets);
  }
  out += decoded;
}

// The text with its encoded words replaced by what `append_word` makes of them, and the rest by
// what `append_rest` does.
template <typename AppendWord, typename AppendRest>
std::string decoded(std::string_view text, AppendWord append_word, AppendRest append_rest) {
  std::string out;
  std::optional<EncodedWord> open;  // decoded so far, and maybe going on behind blanks
  while (!text.empty()) {
    const std::size_t blanks = static_cast<std::size_t>(
        std::find_if_not(text.begin(), text.end(), is_blank) - text.begin());
    std::optional<EncodedWord> word = read_word(text.substr(open ? blanks : 0));
    if (word) {
      text.remove_prefix((open ? blanks : 0) + word->taken);
      // A character may have been cut between two words of one charset.
      if (open && open->charset == word->charset) {
        open->octets += word->octets;
        continue;
      }
      if (open) append_word(out, *open);
      open = std::move(word);
      continue;
    }
    if (open) append_word(out, *open);
    open.reset();
    const std::size_t next = std::min(text.find("=?", 1), text.size());
    append_rest(out, text.substr(0, next));
    text.remove_prefix(next);
  }
  if (open) append_word(out, *open);
  return out;
}

}  // namespace

std::string decode_encoded_words(std::string_view text) {
  return decoded(text, append_decoded, append_utf8);
}

std::string encoded_octets(std::string_view text) {
  return decoded(
      text, [](std::string& out, const EncodedWord& word) { out += word.octets; },
      [](std::string& out, std::string_view rest) { out += rest; });
}

}  // namespace rockdove::mail
