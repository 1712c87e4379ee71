// Whatever message is re-encoded: the result is 7-bit, has no line over 998 octets that was not
// there before, is the same for any cut, and what a reader decodes from its parts is what he would
// have got from the original.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "mta/base/base64.h"
#include "mta/base/utf8.h"
#include "mta/mail/headers.h"
#include "mta/mail/mime_fields.h"
#include "mta/mail/seven_bit.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;

std::string encode(std::string_view message, std::size_t piece, mail::SevenBitProblem& problem) {
  mail::SevenBitEncoder encoder;
  std::string text;
  for (; !message.empty(); message.remove_prefix(std::min(piece, message.size())))
    encoder.write(message.substr(0, piece), text);
  encoder.finish(text);
  problem = encoder.problem();
  return text;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find("\r\n");
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
  }
  return lines;
}

std::size_t longest_line(std::string_view text) {
  std::size_t longest = 0;
  for (const std::string_view line : lines_of(text)) longest = std::max(longest, line.size());
  return longest;
}

std::string decode_quoted(std::string_view text) {
  std::string octets;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      octets += text[i];
    } else if (text.substr(i + 1, 2) == "\r\n") {
      i += 2;
    } else if (i + 2 < text.size()) {
      octets += static_cast<char>(std::stoi("0" + std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    }
  }
  return octets;
}

// A reader, who splits from the outermost boundary inward. Written without the encoder's streaming,
// it shares only the reading of header fields.
class Reader {
 public:
  void read(std::string_view entity, bool in_digest, int depth) {
    std::string_view header;
    std::string_view body;
    split(entity, header, body);
    mail::ContentType type;
    std::string encoding;
    std::size_t field_octets = 0;
    bool has_type = false;
    for (const mail::HeaderField& field : mail::HeaderFields(header)) {
      field_octets += field.whole.size();
      if (field.is("Content-Type") && !std::exchange(has_type, true))
        type = mail::parse_content_type(field.value);
      if (field.is("Content-Transfer-Encoding") && encoding.empty())
        encoding = std::string(field.value) + " ";
    }
    if (type.type.empty()) type.type = in_digest ? "message/rfc822" : "text/plain";
    const bool is_encoded =
        mail::parse_transfer_encoding(encoding) == mail::TransferEncoding::Encoded;
    const bool is_clear = field_octets == header.size() && !is_encoded && depth < 40;
    if (is_clear && type.type == "message/rfc822") return read(body, false, depth + 1);
    const bool is_multipart =
        type.type.starts_with("multipart/") && type.type != "multipart/signed";
    if (is_clear && is_multipart && !type.boundary.empty())
      return read_parts(body, type.boundary, type.type == "multipart/digest", depth);
    leaves.push_back(decode(body, encoding));
  }

  std::vector<std::string> leaves;
  std::vector<std::string> boundaries;

 private:
  static void split(std::string_view entity, std::string_view& header, std::string_view& body) {
    std::size_t end = entity.starts_with("\r\n") ? 0 : entity.find("\r\n\r\n");
    if (end == std::string_view::npos) {
      header = entity;
      return;
    }
    if (end > 0) end += 2;
    header = entity.substr(0, end);
    body = entity.substr(end + 2);
  }

  static std::string decode(std::string_view body, std::string_view encoding) {
    if (encoding == " quoted-printable ") return decode_quoted(body);
    if (encoding != " base64 ") return std::string(body);
    std::string text(body);
    text.erase(
        std::remove_if(text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n'; }),
        text.end());
    return base::decode_base64(text).value_or(std::string(body));
  }

  void read_parts(std::string_view body, const std::string& boundary, bool is_digest, int depth) {
    boundaries.push_back(boundary);
    std::vector<std::string_view> parts;
    std::size_t part_start = std::string_view::npos;
    std::size_t start = 0;
    for (const std::string_view line : lines_of(body)) {
      std::string_view bare = line.substr(0, line.find_last_not_of(" \t") + 1);
      const bool is_close = bare == "--" + boundary + "--";
      if (is_close || bare == "--" + boundary) {
        if (part_start != std::string_view::npos) {
          const std::size_t end = std::max(part_start, start >= 2 ? start - 2 : 0);
          parts.push_back(body.substr(part_start, end - part_start));
        }
        part_start = std::min(start + line.size() + 2, body.size());
      }
      if (is_close) {
        part_start = std::string_view::npos;
        break;
      }
      start += line.size() + 2;
    }
    if (part_start != std::string_view::npos) parts.push_back(body.substr(part_start));
    for (const std::string_view part : parts) read(part, is_digest, depth + 1);
  }
};

// Where the boundary of one level is also one of another, readers differ.
bool is_ambiguous(std::vector<std::string> boundaries) {
  for (const std::string& each : boundaries) {
    if (std::count(boundaries.begin(), boundaries.end(), each) > 1) return true;
    if (std::count(boundaries.begin(), boundaries.end(), each + "--") > 0) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view message = fuzz::as_text(data, size);
  mail::SevenBitProblem problem = mail::SevenBitProblem::None;
  const std::string text = encode(message, message.size() + 1, problem);
  FUZZ_CHECK(base::is_ascii(text));
  FUZZ_CHECK(text.size() <= 1000 + 4 * message.size() + 150 * (1 + message.size() / 4));
  for (const std::size_t piece : {1U, 7U, 100U}) {
    mail::SevenBitProblem other = mail::SevenBitProblem::None;
    const bool is_same = encode(message, piece, other) == text;
    // What goes out before a problem is noticed is of no use to anybody.
    FUZZ_CHECK(other == problem && (is_same || problem != mail::SevenBitProblem::None));
  }
  if (problem != mail::SevenBitProblem::None) return 0;
  FUZZ_CHECK(longest_line(text) <= std::max<std::size_t>(998, longest_line(message)));
  Reader before;
  before.read(message, false, 0);
  Reader after;
  after.read(text, false, 0);
  if (is_ambiguous(before.boundaries)) return 0;
  FUZZ_CHECK(before.leaves == after.leaves);
  return 0;
}
