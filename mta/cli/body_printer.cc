#include "mta/cli/body_printer.h"

#include <utility>

#include "mta/base/text.h"
#include "mta/cli/queue_tables.h"
#include "mta/cli/safe_text.h"
#include "mta/mail/mime_fields.h"

namespace rockdove::cli {
namespace {

constexpr std::size_t kLineOctetsMax = 4096;  // longer ones are handed over in pieces
constexpr std::size_t kPartHeaderOctetsMax = 16 * 1024;
constexpr std::size_t kBoundariesMax = 10;

std::string value_of(const std::vector<mail::ShownField>& header, std::string_view name) {
  for (const mail::ShownField& field : header) {
    if (base::equals_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

}  // namespace

BodyPrinter::BodyPrinter(std::ostream& out, const std::vector<mail::ShownField>& header)
    : out_(out) {
  enter(header);
}

void BodyPrinter::receive(std::string_view octets) {
  while (!octets.empty()) {
    const std::size_t end = octets.find('\n');
    const std::string_view piece = octets.substr(0, end);
    octets.remove_prefix(end == std::string_view::npos ? octets.size() : end + 1);
    line_ += piece;
    if (end != std::string_view::npos) {
      if (line_.ends_with('\r')) line_.pop_back();
      line(line_, std::exchange(is_in_long_line_, false) ? Cut::Ended : Cut::Whole);
      line_.clear();
    } else if (line_.size() > kLineOctetsMax) {
      line(line_, std::exchange(is_in_long_line_, true) ? Cut::GoesOn : Cut::Begun);
      line_.clear();
    }
  }
}

void BodyPrinter::finish() {
  if (!line_.empty() || is_in_long_line_) {
    line(line_, is_in_long_line_ ? Cut::Ended : Cut::Whole);
  }
  leave_part();
}

void BodyPrinter::line(std::string_view text, Cut cut) {
  if (cut == Cut::Whole && text.starts_with("--") && is_boundary(text)) return;
  switch (place_) {
    case Place::Text:
      out_ << safe_text(text);
      if (cut == Cut::Whole || cut == Cut::Ended) out_ << '\n';
      return;
    case Place::PartHeader:
      return header_line(text);
    case Place::Other:
      octets_ += text.size() + 2;
      return;
    case Place::Nothing:
      return;
  }
}

// RFC 2046 §5.1: a line of two hyphens and the boundary; with two more it is the last one. That of
// an outer multipart ends the inner ones.
bool BodyPrinter::is_boundary(std::string_view text) {
  const std::string_view named = base::trimmed(text.substr(2));
  for (std::size_t depth = boundaries_.size(); depth > 0; --depth) {
    const std::string& boundary = boundaries_[depth - 1];
    const bool is_last = named.size() == boundary.size() + 2 && named.ends_with("--");
    if (!named.starts_with(boundary) || (named.size() != boundary.size() && !is_last)) continue;
    leave_part();
    boundaries_.resize(is_last ? depth - 1 : depth);
    place_ = is_last ? Place::Nothing : Place::PartHeader;
    return true;
  }
  return false;
}

void BodyPrinter::header_line(std::string_view text) {
  if (!text.empty()) {
    if (part_header_.size() < kPartHeaderOctetsMax) part_header_.append(text).append("\r\n");
    return;
  }
  const std::vector<mail::ShownField> header =
      mail::shown_fields(std::exchange(part_header_, std::string()));
  const std::string type = value_of(header, "Content-Type");
  if (!type.empty()) out_ << "[part: " << safe_text(type) << "]\n";
  enter(header);
}

void BodyPrinter::enter(const std::vector<mail::ShownField>& header) {
  mail::ContentType type = mail::parse_content_type(value_of(header, "Content-Type"));
  if (type.type.starts_with("multipart/") && !type.boundary.empty() &&
      boundaries_.size() < kBoundariesMax) {
    boundaries_.push_back(std::move(type.boundary));
    place_ = Place::Nothing;
    return;
  }
  const bool is_shown = type.type.empty() || type.type.starts_with("text/") ||
                        type.type.starts_with("message/") || type.type.starts_with("multipart/");
  place_ = is_shown ? Place::Text : Place::Other;
  if (is_shown) return;
  hidden_ = type.type;
  const std::string encoding = value_of(header, "Content-Transfer-Encoding");
  if (!encoding.empty()) hidden_ += ", " + encoding;
}

void BodyPrinter::leave_part() {
  if (place_ == Place::Other) {
    out_ << "[" << safe_text(hidden_) << ": " << plain_size(octets_)
         << " octets that are no text]\n";
  }
  octets_ = 0;
  part_header_.clear();
  place_ = Place::Nothing;
}

}  // namespace rockdove::cli
