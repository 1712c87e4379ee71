// dkim-canon: a message in both canonical forms, header fields, the empty line and body as one
// text. The lines of the input may end in LF alone, as in files; a message without a body has an
// empty one.
#include "mta/mail/canonical.h"
#include "mta/mail/headers.h"
#include "tests/probe/area.h"
#include "tests/probe/hex.h"

namespace rockdove::probe {
namespace {

std::string with_crlf(std::string_view text) {
  std::string lines;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) lines += '\r';
    lines += text[i];
  }
  return lines;
}

class Text final : public mail::CanonicalOutput {
 public:
  void take(std::string_view octets) override { text.append(octets); }

  std::string text;
};

std::string canonical(std::string_view header, std::string_view body, mail::Canonicalization how) {
  Text out;
  for (const mail::HeaderField& field : mail::HeaderFields(header)) {
    mail::append_canonical_field(out.text, field.whole, how);
  }
  out.text += "\r\n";
  mail::BodyCanonicalizer canonicalizer(how);
  canonicalizer.write(body, out);
  canonicalizer.finish(out);
  return out.text;
}

}  // namespace

nlohmann::json answer_dkim_canon(const nlohmann::json& test_case, const Options& /*options*/) {
  const std::string message = with_crlf(from_hex(test_case.at("input_hex").get<std::string>()));
  mail::HeaderSplitter splitter;
  const std::size_t taken = splitter.receive(message);
  splitter.finish();
  const std::string body = std::string(splitter.body_start()) + message.substr(taken);
  return {
      {"simple_hex", to_hex(canonical(splitter.header(), body, mail::Canonicalization::Simple))},
      {"relaxed_hex", to_hex(canonical(splitter.header(), body, mail::Canonicalization::Relaxed))}};
}

}  // namespace rockdove::probe
