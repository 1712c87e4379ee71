#include "mta/mail/canonical.h"

#include <algorithm>
#include <cstring>

#include "mta/base/text.h"

namespace rockdove::mail {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// RFC 6376 §3.4.2: unfolded, each run of blanks one space, none around the colon nor at the end.
void append_relaxed_field(std::string& out, std::string_view whole) {
  const bool has_end = whole.ends_with(kLineEnd);
  if (has_end) whole.remove_suffix(kLineEnd.size());
  const std::size_t colon = std::min(whole.find(':'), whole.size());
  const std::string_view name = whole.substr(0, colon);
  for (const char c : name) {
    if (!is_blank(c)) out += base::to_lower(c);
  }
  if (colon < whole.size()) out += ':';
  bool has_blank = false;
  bool has_content = false;
  for (std::size_t i = colon + 1; i < whole.size(); ++i) {
    if (is_blank(whole[i])) {
      has_blank = true;
    } else if (whole.substr(i).starts_with(kLineEnd)) {
      ++i;  // a fold: the blank behind it stays
    } else {
      if (has_blank && has_content) out += ' ';
      has_blank = false;
      has_content = true;
      out += whole[i];
    }
  }
  if (has_end) out += kLineEnd;
}

}  // namespace

void append_canonical_field(std::string& out, std::string_view whole, Canonicalization how) {
  switch (how) {
    case Canonicalization::Simple:  // RFC 6376 §3.4.1
      out += whole;
      return;
    case Canonicalization::Relaxed:
      append_relaxed_field(out, whole);
      return;
  }
}

void BodyCanonicalizer::write(std::string_view octets, CanonicalOutput& output) {
  if (octets.empty()) return;
  if (has_carriage_return_) {
    has_carriage_return_ = false;
    if (octets.front() == '\n') {
      ++line_ends_;
      has_blank_ = false;
      octets.remove_prefix(1);
    } else {
      add_content("\r", output);
    }
  }
  switch (how_) {
    case Canonicalization::Simple:
      write_simple(octets, output);
      break;
    case Canonicalization::Relaxed:
      write_relaxed(octets, output);
      break;
  }
  flush(output);
}

// Only what stands at the end of the piece is uncertain; all before it goes on as it is.
void BodyCanonicalizer::write_simple(std::string_view octets, CanonicalOutput& output) {
  if (octets.ends_with('\r')) {
    has_carriage_return_ = true;
    octets.remove_suffix(1);
  }
  std::uint64_t line_ends = 0;
  for (; octets.ends_with(kLineEnd); octets.remove_suffix(kLineEnd.size())) ++line_ends;
  if (octets.empty()) {
    line_ends_ += line_ends;
    return;
  }
  add_content(octets, output);
  line_ends_ = line_ends;
}

void BodyCanonicalizer::write_relaxed(std::string_view octets, CanonicalOutput& output) {
  std::size_t i = 0;
  while (i < octets.size()) {
    if (is_blank(octets[i])) {
      has_blank_ = true;
      ++i;
    } else if (octets[i] == '\r') {
      if (i + 1 == octets.size()) {
        has_carriage_return_ = true;
        return;
      }
      if (octets[i + 1] == '\n') {
        ++line_ends_;
        has_blank_ = false;  // RFC 6376 §3.4.4: blanks at the end of a line are dropped
        i += kLineEnd.size();
      } else {
        add_content("\r", output);
        ++i;
      }
    } else {
      const std::size_t start = i;
      while (i < octets.size() && !is_blank(octets[i]) && octets[i] != '\r') ++i;
      add_content(octets.substr(start, i - start), output);
    }
  }
}

void BodyCanonicalizer::finish(CanonicalOutput& output) {
  if (has_carriage_return_) add_content("\r", output);
  // Blanks on a last line without CRLF are not at the end of a line.
  if (has_blank_) add_content("", output);
  if (has_content_ || how_ == Canonicalization::Simple) add(kLineEnd, output);
  flush(output);
}

// The empty lines turned out not to be the last ones. However many they are, they go in batches.
void BodyCanonicalizer::add_line_ends(CanonicalOutput& output) {
  for (; line_ends_ > 0; --line_ends_) add(kLineEnd, output);
}

void BodyCanonicalizer::add_content(std::string_view octets, CanonicalOutput& output) {
  add_line_ends(output);
  if (has_blank_) add(" ", output);
  has_blank_ = false;
  has_content_ = true;
  add(octets, output);
}

void BodyCanonicalizer::add(std::string_view octets, CanonicalOutput& output) {
  if (octets.size() > batch_.size() - batched_) flush(output);
  if (octets.size() > batch_.size()) {
    output.take(octets);
    return;
  }
  std::memcpy(batch_.data() + batched_, octets.data(), octets.size());
  batched_ += octets.size();
}

void BodyCanonicalizer::flush(CanonicalOutput& output) {
  if (batched_ > 0) output.take({batch_.data(), batched_});
  batched_ = 0;
}

}  // namespace rockdove::mail
