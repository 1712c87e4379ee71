#include "mta/mail/seven_bit.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "mta/base/utf8.h"
#include "mta/mail/headers.h"
#include "mta/mail/mime_fields.h"

namespace rockdove::mail {
namespace {

constexpr std::size_t kDelimiterOctetsMax = kBoundaryOctetsMax + 56;        // blanks may follow it
constexpr std::size_t kHeaderOctetsKeptMax = kHeaderOctetsMax + 64 * 1024;  // ours are added
constexpr std::size_t kWaitingOctetsMax = 32 * 1024;
constexpr std::size_t kLevelsMax = 32;
constexpr std::size_t kLineOctetsMax = 998;  // RFC 5322 §2.1.1

bool is_high(char octet) {
  return static_cast<unsigned char>(octet) > 127;
}

bool has_long_line(std::string_view text) {
  while (text.size() > kLineOctetsMax) {
    const std::size_t end = text.find("\r\n");
    if (std::min(end, text.size()) > kLineOctetsMax) return true;
    text.remove_prefix(end + 2);
  }
  return false;
}

bool needs_encoding(std::string_view content) {
  return !base::is_ascii(content) || has_long_line(content);
}

// What of a header decides how an entity goes.
struct Entity {
  std::optional<HeaderField> type;
  std::optional<HeaderField> encoding;
  bool has_version = false;  // MIME-Version
  bool is_signed = false;    // by DKIM
  bool is_header = true;     // nothing but fields
};

Entity look_at(std::string_view header) {
  Entity entity;
  std::size_t octets = 0;
  for (const HeaderField& field : HeaderFields(header)) {
    octets += field.whole.size();
    if (field.is("Content-Type") && !entity.type) entity.type = field;
    if (field.is("Content-Transfer-Encoding") && !entity.encoding) entity.encoding = field;
    if (field.is("MIME-Version")) entity.has_version = true;
    if (field.is("DKIM-Signature")) entity.is_signed = true;
  }
  entity.is_header = octets == header.size();
  return entity;
}

// Set: 8-bit octets of this entity's content are this problem.
std::optional<SevenBitProblem> why_untouchable(const Entity& entity, const ContentType& type,
                                               TransferEncoding encoding) {
  const bool is_multipart = type.type.starts_with("multipart/");
  const bool is_embedded = type.type == "message/rfc822";
  if (!entity.is_header || (is_multipart && type.boundary.empty()))
    return SevenBitProblem::Structure;
  if (type.type == "multipart/signed") return SevenBitProblem::Signed;
  if (encoding == TransferEncoding::Encoded) return SevenBitProblem::Encoded;
  if (is_multipart || is_embedded) return std::nullopt;
  if (encoding == TransferEncoding::Binary) return SevenBitProblem::Binary;
  // RFC 2046 §5.2.2 to §5.2.4, RFC 3464 §2.1.1; message/global may be encoded (RFC 6532 §3.7).
  if (type.type.starts_with("message/") && type.type != "message/global")
    return SevenBitProblem::Encoded;
  return std::nullopt;
}

// The header with another Content-Transfer-Encoding, and with what MIME demands beside it.
void append_relabelled(std::string& out, std::string_view header, std::string_view encoding,
                       bool is_message) {
  const std::string field = "Content-Transfer-Encoding: " + std::string(encoding) + "\r\n";
  const Entity entity = look_at(header);
  bool is_written = false;
  for (const HeaderField& each : HeaderFields(header)) {
    if (!each.is("Content-Transfer-Encoding")) {
      out += each.whole;
    } else if (!std::exchange(is_written, true)) {
      out += field;
    }
  }
  if (is_message && !entity.has_version) out += "MIME-Version: 1.0\r\n";
  if (!entity.type && encoding != "7bit")
    out += "Content-Type: text/plain; charset=unknown-8bit\r\n";  // RFC 1428 §3
  if (!is_written) out += field;
}

}  // namespace

std::string_view describe(SevenBitProblem problem) {
  switch (problem) {
    case SevenBitProblem::None:
      return "";
    case SevenBitProblem::Header:
      return "a header field has 8-bit text";
    case SevenBitProblem::Signed:
      return "a signature would not survive it";
    case SevenBitProblem::Encoded:
      return "it has 8-bit text where MIME allows no encoding";
    case SevenBitProblem::Binary:
      return "a part of it is binary";
    case SevenBitProblem::Structure:
      return "its MIME structure cannot be followed";
  }
  return "";
}

void SevenBitEncoder::write(std::string_view octets, std::string& out) {
  while (!octets.empty() && problem_ == SevenBitProblem::None) {
    if (std::exchange(after_return_, false)) {
      if (octets.front() == '\n') {
        octets.remove_prefix(1);
        line_end(out);
      } else {
        line_part("\r", out);
      }
      continue;
    }
    const std::string_view part = octets.substr(0, octets.find('\r'));
    octets.remove_prefix(part.size());
    if (!part.empty()) line_part(part, out);
    after_return_ = !octets.empty();
    if (after_return_) octets.remove_prefix(1);
  }
}

void SevenBitEncoder::finish(std::string& out) {
  if (problem_ == SevenBitProblem::None && std::exchange(after_return_, false))
    line_part("\r", out);
  if (problem_ == SevenBitProblem::None && !line_.empty() && !take_delimiter(out))
    text(std::exchange(line_, {}), out);
  if (problem_ != SevenBitProblem::None) return;
  owed_line_end(out);  // nothing follows that it could belong to
  end_part(out);
  if (mode_ == Mode::Encode && encoder_.form() == TransferEncoder::Form::Base64) out += "\r\n";
}

void SevenBitEncoder::line_part(std::string_view octets, std::string& out) {
  if (!in_line_ && !levels_.empty()) {
    const std::size_t taken = std::min(octets.size(), kDelimiterOctetsMax - line_.size());
    line_.append(octets.substr(0, taken));
    octets.remove_prefix(taken);
    const std::size_t dashes = std::min<std::size_t>(line_.size(), 2);
    const bool may_be_delimiter =
        line_.size() < kDelimiterOctetsMax && line_.compare(0, dashes, "--", dashes) == 0;
    if (may_be_delimiter) return;
    text(std::exchange(line_, {}), out);
  }
  in_line_ = true;
  if (!octets.empty()) text(octets, out);
}

void SevenBitEncoder::line_end(std::string& out) {
  if (!in_line_ && !line_.empty()) {
    if (take_delimiter(out)) {
      out += "\r\n";
      return;
    }
    text(std::exchange(line_, {}), out);
    if (problem_ != SevenBitProblem::None) return;
  }
  in_line_ = false;
  if (mode_ == Mode::Header) {
    if (held_.empty() || held_.ends_with("\r\n")) return header_complete(out);
    held_ += "\r\n";
    return;
  }
  owed_line_end(out);
  end_owed_ = true;
}

// RFC 2046 §5.1.1: "--", the boundary, "--" behind the last part, then nothing but blanks. An outer
// boundary ends all within.
bool SevenBitEncoder::take_delimiter(std::string& out) {
  std::string_view line = line_;
  while (line.ends_with(' ') || line.ends_with('\t')) line.remove_suffix(1);
  if (!line.starts_with("--")) return false;
  line.remove_prefix(2);
  for (std::size_t level = levels_.size(); level-- > 0;) {
    const std::string_view boundary = levels_[level].boundary;
    const bool is_close = line.size() == boundary.size() + 2 && line.ends_with("--");
    if (!line.starts_with(boundary) || (line.size() != boundary.size() && !is_close)) continue;
    end_part(out);
    if (problem_ != SevenBitProblem::None) return true;
    if (std::exchange(end_owed_, false)) out += "\r\n";
    out += line_;
    line_.clear();
    levels_.resize(is_close ? level : level + 1);
    if (is_close) mode_ = Mode::Ignored;
    if (!is_close) begin_entity(/*is_message=*/false);
    return true;
  }
  return false;
}

void SevenBitEncoder::begin_entity(bool is_message) {
  mode_ = Mode::Header;
  is_message_ = is_message;
  held_.clear();
}

void SevenBitEncoder::header_complete(std::string& out) {
  const std::string header = std::exchange(held_, {});
  if (!base::is_ascii(header)) return fail(SevenBitProblem::Header);
  const Entity entity = look_at(header);
  const bool in_digest = !is_message_ && !levels_.empty() && levels_.back().is_digest;
  ContentType type;
  if (entity.type) type = parse_content_type(entity.type->value);
  if (type.type.empty()) type.type = in_digest ? "message/rfc822" : "text/plain";
  const TransferEncoding encoding = entity.encoding
                                        ? parse_transfer_encoding(entity.encoding->value)
                                        : TransferEncoding::SevenBit;
  const bool is_top = std::exchange(is_top_, false);
  const bool was_message = is_message_;
  const bool is_relabelled =
      encoding == TransferEncoding::EightBit || encoding == TransferEncoding::Binary;
  const bool is_multipart = type.type.starts_with("multipart/");
  const bool is_embedded = type.type == "message/rfc822";
  const std::optional<SevenBitProblem> untouchable = is_top && entity.is_signed
                                                         ? SevenBitProblem::Signed
                                                         : why_untouchable(entity, type, encoding);
  if (untouchable) {
    mode_ = Mode::Copy;
    copy_problem_ = *untouchable;
    out.append(header).append("\r\n");
  } else if (is_multipart) {
    if (levels_.size() == kLevelsMax) return fail(SevenBitProblem::Structure);
    levels_.push_back({std::move(type.boundary), type.type == "multipart/digest"});
    mode_ = Mode::Ignored;
  } else if (is_embedded) {
    begin_entity(/*is_message=*/true);
  } else {
    mode_ = Mode::Waiting;
    is_text_ = type.type.starts_with("text/") || type.type == "message/global";
    header_octets_ = header.size();
    held_ = header + "\r\n";
  }
  if (untouchable || mode_ == Mode::Waiting) return;
  // What it holds is 7-bit from here on, part by part.
  if (is_relabelled) append_relabelled(out, header, "7bit", was_message);
  if (!is_relabelled) out += header;
  out += "\r\n";
}

// Ends what is at hand, before a delimiter or the end of all.
void SevenBitEncoder::end_part(std::string& out) {
  switch (mode_) {
    case Mode::Header:
      if (!base::is_ascii(held_)) return fail(SevenBitProblem::Header);
      out += std::exchange(held_, {});
      return;
    case Mode::Waiting:
      if (!needs_encoding(std::string_view(held_).substr(header_octets_))) {
        out += std::exchange(held_, {});
        return;
      }
      decide_form(out);
      return encoder_.finish(out);
    case Mode::Encode:
      return encoder_.finish(out);
    case Mode::Ignored:
    case Mode::Copy:
      return;
  }
}

void SevenBitEncoder::text(std::string_view octets, std::string& out) {
  owed_line_end(out);
  if (problem_ != SevenBitProblem::None) return;
  switch (mode_) {
    case Mode::Header:
      held_ += octets;
      if (held_.size() > kHeaderOctetsKeptMax) fail(SevenBitProblem::Structure);
      return;
    case Mode::Ignored:
      std::replace_copy_if(octets.begin(), octets.end(), std::back_inserter(out), is_high, '?');
      return;
    case Mode::Copy:
      if (!base::is_ascii(octets)) return fail(copy_problem_);
      out += octets;
      return;
    case Mode::Waiting:
      held_ += octets;
      if (held_.size() - header_octets_ > kWaitingOctetsMax) decide_form(out);
      return;
    case Mode::Encode:
      return encoder_.write(octets, out);
  }
}

// A line end that turned out to be content.
void SevenBitEncoder::owed_line_end(std::string& out) {
  if (std::exchange(end_owed_, false)) text("\r\n", out);
}

// The part at hand is to be encoded, or is too long to be known as 7-bit.
void SevenBitEncoder::decide_form(std::string& out) {
  const std::string held = std::exchange(held_, {});
  const std::string_view header = std::string_view(held).substr(0, header_octets_);
  const std::string_view content = std::string_view(held).substr(header_octets_ + 2);
  const auto high =
      static_cast<std::size_t>(std::count_if(content.begin(), content.end(), is_high));
  // Quoted-printable stays readable; it takes 3 characters for an octet, base64 takes 4 for 3.
  const bool is_quoted = is_text_ && high <= content.size() / 6;
  encoder_ = TransferEncoder(is_quoted ? TransferEncoder::Form::QuotedPrintable
                                       : TransferEncoder::Form::Base64);
  append_relabelled(out, header, is_quoted ? "quoted-printable" : "base64", is_message_);
  out += "\r\n";
  mode_ = Mode::Encode;
  encoder_.write(content, out);
}

void SevenBitEncoder::fail(SevenBitProblem problem) {
  problem_ = problem;
  std::string().swap(held_);
  std::string().swap(line_);
}

SevenBitProblem foresee_seven_bit_problem(std::string_view header,
                                          std::optional<std::string_view> body) {
  SevenBitEncoder encoder;
  std::string out;
  encoder.write(header, out);
  if (!body || encoder.problem_of_eight_bit() != SevenBitProblem::None)
    return encoder.problem_of_eight_bit();
  constexpr std::size_t kPieceOctets = 16 * 1024;  // so that `out` stays small
  for (std::string_view rest = *body; !rest.empty();
       rest.remove_prefix(std::min(rest.size(), kPieceOctets))) {
    out.clear();
    encoder.write(rest.substr(0, kPieceOctets), out);
  }
  encoder.finish(out);
  return encoder.problem();
}

}  // namespace rockdove::mail
