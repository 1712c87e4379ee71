#include "mta/mail/headers.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "mta/mail/received.h"

namespace rockdove::mail {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// Octets of the field's name, blanks before the colon (RFC 5322 §4.5) not counted; 0: no field.
std::size_t field_name_octets(std::string_view line) {
  std::size_t octets = 0;
  while (octets < line.size() && line[octets] > 32 && line[octets] < 127 && line[octets] != ':') {
    ++octets;
  }
  std::size_t colon = octets;
  while (colon < line.size() && is_blank(line[colon])) ++colon;
  return colon < line.size() && line[colon] == ':' ? octets : 0;
}

// Octets of the first line with its CRLF; all of them when it has none.
std::size_t line_octets(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size()) {
    const void* found = std::memchr(text.data() + position, '\n', text.size() - position);
    if (found == nullptr) break;
    position = static_cast<std::size_t>(static_cast<const char*>(found) - text.data()) + 1;
    if (position >= 2 && text[position - 2] == '\r') return position;
  }
  return text.size();
}

std::string_view message_id_in(std::string_view value) {
  std::string_view id = base::trimmed(value);
  const std::size_t open = id.find('<');
  if (open != std::string_view::npos) {
    id.remove_prefix(open);
    const std::size_t close = id.find('>');
    if (close == std::string_view::npos) return {};
    id = id.substr(0, close + 1);
  } else {
    id = id.substr(0, id.find_first_of(" \t\r\n"));
  }
  if (id.size() > kMessageIdFieldOctetsMax) return {};
  const bool is_printable =
      std::all_of(id.begin(), id.end(), [](char c) { return c >= 32 && c < 127; });
  return is_printable ? id : std::string_view();
}

}  // namespace

bool HeaderField::is(std::string_view other_name) const {
  return base::equals_ignoring_case(name, other_name);
}

void HeaderFields::Iterator::advance() {
  field_ = {};
  const std::size_t name_octets = field_name_octets(rest_);
  if (name_octets == 0) return;
  std::size_t octets = line_octets(rest_);
  while (octets < rest_.size() && is_blank(rest_[octets]))
    octets += line_octets(rest_.substr(octets));
  field_.whole = rest_.substr(0, octets);
  field_.name = rest_.substr(0, name_octets);
  field_.value = field_.whole.substr(field_.whole.find(':', name_octets) + 1);
  if (field_.value.ends_with(kLineEnd)) field_.value.remove_suffix(kLineEnd.size());
  rest_.remove_prefix(octets);
}

std::optional<HeaderField> find_field(std::string_view block, std::string_view name) {
  for (const HeaderField& field : HeaderFields(block)) {
    if (field.is(name)) return field;
  }
  return std::nullopt;
}

std::size_t count_fields(std::string_view block, std::string_view name) {
  std::size_t count = 0;
  for (const HeaderField& field : HeaderFields(block)) {
    if (field.is(name)) ++count;
  }
  return count;
}

std::size_t count_received(std::string_view block) {
  return count_fields(block, "Received");
}

bool has_date(std::string_view block) {
  return find_field(block, "Date").has_value();
}

bool has_message_id(std::string_view block) {
  return find_field(block, "Message-ID").has_value();
}

std::string_view message_id_of(std::string_view block) {
  const auto field = find_field(block, "Message-ID");
  return field ? message_id_in(field->value) : std::string_view();
}

HeaderFacts look_at_header(std::string_view block, std::string_view hostname) {
  HeaderFacts facts;
  for (const HeaderField& field : HeaderFields(block)) {
    if (field.is("Received")) {
      ++facts.received;
      if (is_own_received(field.value, hostname)) ++facts.received_own;
    } else if (field.is("Date")) {
      facts.has_date = true;
    } else if (field.is("From")) {
      facts.has_from = true;
    } else if (field.is("Message-ID") && !facts.has_message_id) {
      facts.has_message_id = true;
      facts.message_id = message_id_in(field.value);
    }
  }
  return facts;
}

std::size_t HeaderSplitter::receive(std::string_view octets) {
  // Room for the empty line behind a header of full size. No more is looked at, so that a line is
  // judged on the same octets however they arrive.
  const std::size_t taken_max = octets_max_ + kLineEnd.size();
  std::size_t position = 0;
  while (!is_done() && position < octets.size()) {
    const std::string_view rest = octets.substr(position, taken_max - taken_.size());
    const void* found = std::memchr(rest.data(), '\n', rest.size());
    const std::size_t count =
        found == nullptr
            ? rest.size()
            : static_cast<std::size_t>(static_cast<const char*>(found) - rest.data()) + 1;
    taken_.append(rest.substr(0, count));
    position += count;
    if (std::string_view(taken_).substr(line_start_).ends_with(kLineEnd)) judge_line();
    if (!is_done() && taken_.size() == taken_max) end_at(field_start_, End::TooBig);
  }
  return position;
}

// The line from line_start_ to the end of what was taken is whole.
void HeaderSplitter::judge_line() {
  const std::string_view line = std::string_view(taken_).substr(line_start_);
  if (line == kLineEnd) {
    taken_.resize(line_start_);
    end_at(line_start_, End::EmptyLine);
  } else if (line_start_ > 0 && is_blank(line.front())) {
    line_start_ = taken_.size();
  } else if (field_name_octets(line) > 0) {
    field_start_ = line_start_;
    line_start_ = taken_.size();
  } else {
    end_at(line_start_, End::NoField);
  }
}

void HeaderSplitter::finish() {
  if (is_done()) return;
  if (line_start_ < taken_.size()) {  // the last line has no CRLF
    judge_line();
    if (!is_done()) {
      if (taken_.back() == '\r') taken_.pop_back();
      taken_.append(kLineEnd);
    }
  }
  if (!is_done()) end_at(taken_.size(), End::Message);
}

void HeaderSplitter::end_at(std::size_t octets, End end) {
  header_octets_ = octets;
  end_ = end;
}

std::string_view HeaderSplitter::header() const {
  MTA_ASSERT(is_done());
  return std::string_view(taken_).substr(0, header_octets_);
}

std::string_view HeaderSplitter::body_start() const {
  MTA_ASSERT(is_done());
  return std::string_view(taken_).substr(header_octets_);
}

std::string HeaderSplitter::take_header() {
  MTA_ASSERT(is_done());
  std::string header = std::move(taken_);
  header.resize(header_octets_);
  taken_.clear();
  header_octets_ = 0;
  return header;
}

}  // namespace rockdove::mail
