#include "policy/authentication_results.h"

#include <algorithm>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/headers.h"
#include "mta/mail/idna.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

constexpr std::string_view kFieldName = "Authentication-Results";
constexpr std::size_t kLineOctets = 78;  // RFC 5322 §2.1.1, where it can be
constexpr std::size_t kCommentOctetsMax = 200;
constexpr unsigned kVersion = 1;  // RFC 8601 §2.2

bool is_letter_or_digit(char c) {
  const char lowered = base::to_lower(c);
  return (lowered >= 'a' && lowered <= 'z') || (c >= '0' && c <= '9');
}

// What a token of RFC 2045 §5.1 has: anything but blanks, control characters and tspecials.
bool is_token_character(char c) {
  constexpr std::string_view kSpecials = "()<>@,;:\\\"/[]?=";
  return c > ' ' && c < '\x7f' && kSpecials.find(c) == std::string_view::npos;
}

// And the atoms of an address (RFC 5322 §3.2.3), with dots.
bool is_atom_character(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-/=?^_`{|}~.";
  return is_letter_or_digit(c) || kMarks.find(c) != std::string_view::npos;
}

bool is_domain_character(char c) {
  return is_letter_or_digit(c) || c == '-' || c == '.' || c == '_';
}

template <typename Predicate>
bool is_all(std::string_view text, Predicate predicate) {
  return !text.empty() && std::all_of(text.begin(), text.end(), predicate);
}

// Printable text of at most `octets_max`: what is not becomes "?", and what is too long is cut.
std::string harmless(std::string_view value, std::size_t octets_max, FieldText text) {
  std::string out;
  while (!value.empty() && out.size() < octets_max) {
    const char c = value.front();
    std::size_t octets = 1;
    if (static_cast<unsigned char>(c) >= 128 && text == FieldText::Utf8) {
      octets = base::utf8_sequence(value);
      if (octets != 0) out += value.substr(0, octets);
    } else {
      octets = c >= ' ' && c < '\x7f' ? 1 : 0;
      if (octets != 0) out += c;
    }
    if (octets == 0) out += '?';
    value.remove_prefix(std::max<std::size_t>(octets, 1));
  }
  return out;
}

void append_escaped(std::string& out, std::string_view text, std::string_view specials) {
  for (const char c : text) {
    if (specials.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
}

// As pvalue and value have it (§2.2): a token, an address, or else a quoted string.
std::string format_value(std::string_view raw, FieldText text) {
  const std::string value = harmless(raw, kResultValueOctetsMax, text);
  if (is_all(value, is_token_character)) return value;
  const std::size_t at = value.find('@');
  if (at != std::string::npos &&
      is_all(std::string_view(value).substr(at + 1), is_domain_character)) {
    const std::string_view local = std::string_view(value).substr(0, at);
    if (local.empty() || is_all(local, is_atom_character)) return value;
  }
  std::string quoted = "\"";
  append_escaped(quoted, value, "\"\\");
  return quoted + '"';
}

std::string format_comment(std::string_view raw, FieldText text) {
  std::string comment = "(";
  append_escaped(comment, harmless(raw, kCommentOctetsMax, text), "()\\");
  return comment + ')';
}

// Puts words into lines. A word is never broken, so its blanks stay as they are.
class FieldWriter {
 public:
  explicit FieldWriter(std::string_view start) : field_(start), line_octets_(start.size()) {}

  void begin_line() { is_new_line_wanted_ = true; }

  void add(std::string_view word, std::string_view end) {
    const std::size_t octets = word.size() + end.size() + 1;
    if (is_new_line_wanted_ || line_octets_ + octets > kLineOctets) {
      field_ += "\r\n\t";
      line_octets_ = 8;  // a tab is that wide
    } else {
      field_ += ' ';
    }
    is_new_line_wanted_ = false;
    field_ += word;
    field_ += end;
    line_octets_ += octets;
  }

  [[nodiscard]] std::string finish() { return std::move(field_) + "\r\n"; }

 private:
  std::string field_;
  std::size_t line_octets_;
  bool is_new_line_wanted_ = false;
};

// The words of one result, in the order of the grammar.
std::vector<std::string> words_of(const MethodResult& result, FieldText text) {
  std::vector<std::string> words{result.method + "=" + result.result};
  if (!result.comment.empty()) words.push_back(format_comment(result.comment, text));
  if (!result.reason.empty()) words.push_back("reason=" + format_value(result.reason, text));
  for (const ResultProperty& property : result.properties) {
    words.push_back(property.type + "." + property.name + "=" + format_value(property.value, text));
  }
  return words;
}

}  // namespace

std::string format_authentication_results(std::string_view authserv_id,
                                          std::span<const MethodResult> results, FieldText text) {
  FieldWriter writer(std::string(kFieldName) + ":");
  writer.add(format_value(authserv_id, text), ";");
  if (results.empty()) writer.add("none", "");
  for (const MethodResult& result : results) {
    writer.begin_line();
    const std::vector<std::string> words = words_of(result, text);
    for (const std::string& word : words) {
      const bool ends_result = &word == &words.back() && &result != &results.back();
      writer.add(word, ends_result ? ";" : "");
    }
  }
  return writer.finish();
}

namespace {

// Reads the field from its front. Never fails for good: what cannot be read is left to the caller.
class FieldReader {
 public:
  explicit FieldReader(std::string_view value) : rest_(value) {}

  // Blanks, folds and comments, which may be nested, and need not be closed.
  void skip_space();
  // Whether `c` stands next; takes it, and space behind it.
  bool take(char c);
  // A quoted string, or characters that `is_part` knows; space behind it, too. nullopt: neither.
  template <typename Predicate>
  std::optional<std::string> take_value(Predicate is_part);

  [[nodiscard]] bool is_at_end() const { return rest_.empty(); }

  [[nodiscard]] bool has_next(char c) const { return !rest_.empty() && rest_.front() == c; }

  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::optional<std::string> take_quoted();

  std::string_view rest_;
};

void FieldReader::skip_space() {
  std::size_t depth = 0;
  std::size_t octets = 0;
  for (; octets < rest_.size(); ++octets) {
    const char c = rest_[octets];
    if (c == '(') {
      ++depth;
    } else if (c == ')' && depth > 0) {
      --depth;
    } else if (c == '\\' && depth > 0) {
      ++octets;
    } else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      break;
    }
  }
  rest_.remove_prefix(std::min(octets, rest_.size()));
}

bool FieldReader::take(char c) {
  if (!has_next(c)) return false;
  rest_.remove_prefix(1);
  skip_space();
  return true;
}

std::optional<std::string> FieldReader::take_quoted() {
  std::string text;
  for (std::size_t i = 1; i < rest_.size(); ++i) {
    if (rest_[i] == '"') {
      rest_.remove_prefix(i + 1);
      skip_space();
      return text;
    }
    if (rest_[i] == '\r' || rest_[i] == '\n') continue;  // a fold
    if (rest_[i] == '\\' && i + 1 < rest_.size()) ++i;
    text += rest_[i];
  }
  return std::nullopt;
}

template <typename Predicate>
std::optional<std::string> FieldReader::take_value(Predicate is_part) {
  if (has_next('"')) return take_quoted();
  const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_part);
  const auto octets = static_cast<std::size_t>(end - rest_.begin());
  if (octets == 0) return std::nullopt;
  std::string text(rest_.substr(0, octets));
  rest_.remove_prefix(octets);
  skip_space();
  return text;
}

// UTF-8 is allowed since RFC 8601 §2.2.
bool is_word_character(char c) {
  return is_token_character(c) || static_cast<unsigned char>(c) >= 128;
}

bool is_keyword_character(char c) {
  return is_letter_or_digit(c) || c == '-' || c == '_';
}

// Of a property: tokens, and what addresses have.
bool is_property_character(char c) {
  return is_word_character(c) || is_atom_character(c) || c == '@' || c == ':' || c == '[' ||
         c == ']' || c == ',';
}

base::Error unreadable(const FieldReader& reader) {
  constexpr std::size_t kShownOctets = 40;
  return base::Error("\"" + shown_text(reader.rest(), kShownOctets) + "\" does not belong there");
}

// "header.d=example.net"; the type has been read.
std::optional<ResultProperty> read_property(FieldReader& reader, std::string type) {
  ResultProperty property;
  property.type = std::move(type);
  if (!reader.take('.')) return std::nullopt;
  std::optional<std::string> name = reader.take_value(is_keyword_character);
  if (!name || !reader.take('=')) return std::nullopt;
  property.name = *std::move(name);
  // A quoted local part goes on behind its quotes; an empty value is nobody's, but is written.
  if (std::optional<std::string> value = reader.take_value(is_property_character)) {
    property.value = *std::move(value);
    if (reader.has_next('@')) {
      property.value += reader.take_value(is_property_character).value_or("");
    }
  }
  return property;
}

// "dkim=pass reason=… header.d=…"; false: it is not one.
bool read_result(FieldReader& reader, MethodResult& result) {
  std::optional<std::string> method = reader.take_value(is_keyword_character);
  if (!method) return false;
  result.method = base::lower_case(*method);
  if (reader.take('/') && !reader.take_value(is_keyword_character)) return false;
  if (!reader.take('=')) return false;
  std::optional<std::string> outcome = reader.take_value(is_keyword_character);
  if (!outcome) return false;
  result.result = base::lower_case(*outcome);
  while (!reader.is_at_end() && !reader.has_next(';')) {
    std::optional<std::string> word = reader.take_value(is_keyword_character);
    if (!word) return false;
    std::string lowered = base::lower_case(*word);
    if (lowered == "reason" && reader.take('=')) {
      std::optional<std::string> reason = reader.take_value(is_property_character);
      if (!reason) return false;
      result.reason = *std::move(reason);
      continue;
    }
    std::optional<ResultProperty> property = read_property(reader, std::move(lowered));
    if (!property || result.properties.size() == kResultPropertiesMax) return false;
    result.properties.push_back(*std::move(property));
  }
  return true;
}

// The id and the version in front; false: there is no id.
bool read_front(FieldReader& reader, AuthenticationResults& field) {
  reader.skip_space();
  std::optional<std::string> id = reader.take_value(is_word_character);
  if (!id || id->empty()) return false;
  field.authserv_id = *std::move(id);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (reader.is_at_end() || reader.has_next(';')) return true;
  const std::string digits = reader.take_value(is_digit).value_or("");
  constexpr std::size_t kDigitsMax = 6;
  field.version = 0;
  if (digits.size() > kDigitsMax) return true;
  for (const char c : digits) field.version = field.version * 10 + static_cast<unsigned>(c - '0');
  return true;
}

// For comparing: names as A-labels, in lower case, without a final dot.
std::string comparable(std::string_view id) {
  if (id.ends_with('.')) id.remove_suffix(1);
  const base::Result<std::string> ascii = mail::to_ascii_domain(id);
  return ascii ? *ascii : base::lower_case(id);
}

}  // namespace

base::Result<AuthenticationResults> parse_authentication_results(std::string_view value) {
  FieldReader reader(value);
  AuthenticationResults field;
  if (!read_front(reader, field)) return unreadable(reader);
  if (field.version == 0) return unreadable(reader);
  if (field.version != kVersion) return field;
  while (reader.take(';')) {
    if (reader.is_at_end()) break;  // a semicolon at the end, as many write it
    const std::string_view before = reader.rest();
    MethodResult result;
    if (!read_result(reader, result)) {
      FieldReader again(before);
      const std::optional<std::string> word = again.take_value(is_keyword_character);
      if (word && base::equals_ignoring_case(*word, "none") && again.is_at_end()) return field;
      return unreadable(reader);
    }
    if (field.results.size() == kResultsMax) return base::Error("there are too many results");
    field.results.push_back(std::move(result));
  }
  if (!reader.is_at_end()) return unreadable(reader);
  return field;
}

namespace {

// Tells fields in our name from others.
class NameGuard {
 public:
  explicit NameGuard(std::span<const std::string> own_ids) {
    for (const std::string& id : own_ids) own_ids_.push_back(comparable(id));
  }

  std::optional<std::string_view> reason_to_remove(std::string_view value) {
    FieldReader reader(value);
    AuthenticationResults field;
    if (!read_front(reader, field)) return "its authserv-id cannot be read";
    // libidn2 takes up to 0.4 ms for one: of those beyond ASCII only a few are looked at.
    if (!base::is_ascii(field.authserv_id) && ++conversions_ > kConversionsMax)
      return "there are too many such fields";
    if (std::find(own_ids_.begin(), own_ids_.end(), comparable(field.authserv_id)) !=
        own_ids_.end())
      return "it bears our authserv-id";
    if (field.version == 0) return "what stands behind its authserv-id cannot be read";
    if (field.version != kVersion) return "its version is not 1";
    return std::nullopt;
  }

 private:
  static constexpr std::size_t kConversionsMax = 8;

  std::vector<std::string> own_ids_;
  std::size_t conversions_ = 0;
};

}  // namespace

std::optional<std::string_view> reason_to_remove(std::string_view value,
                                                 std::span<const std::string> own_ids) {
  return NameGuard(own_ids).reason_to_remove(value);
}

std::optional<ScrubbedHeader> remove_forged_results(std::string_view header,
                                                    std::span<const std::string> own_ids) {
  std::optional<ScrubbedHeader> scrubbed;
  NameGuard guard(own_ids);
  const char* kept_from = header.data();
  const auto keep_until = [&](const char* end) {
    scrubbed->header.append(kept_from, static_cast<std::size_t>(end - kept_from));
  };
  for (const mail::HeaderField& field : mail::HeaderFields(header)) {
    if (!field.is(kFieldName)) continue;
    const std::optional<std::string_view> why = guard.reason_to_remove(field.value);
    if (!why) continue;
    if (!scrubbed) scrubbed = ScrubbedHeader{"", 0, *why};
    keep_until(field.whole.data());
    kept_from = field.whole.data() + field.whole.size();
    ++scrubbed->removed;
  }
  if (scrubbed) keep_until(header.data() + header.size());
  return scrubbed;
}

}  // namespace rockdove::policy
