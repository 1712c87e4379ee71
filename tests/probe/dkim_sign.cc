// dkim-sign: the DKIM-Signature fields of a message, `message` or the file `path`, by `identities`
// [{domain, selector, key (PEM), canonicalization}], all with our defaults.
#include "tests/probe/dkim_sign.h"

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "policy/dkim_signer.h"
#include "tests/probe/text_zone.h"

namespace rockdove::probe {
namespace {

using nlohmann::json;

constexpr std::size_t kPieceOctets = 65'521;  // so that pieces end anywhere

mail::Canonicalization form_called(const std::string& name) {
  if (name == "simple") return mail::Canonicalization::Simple;
  if (name == "relaxed") return mail::Canonicalization::Relaxed;
  throw std::runtime_error("there is no form " + name);
}

std::shared_ptr<const policy::DkimIdentity> read_identity(const json& from) {
  auto key = policy::SigningKey::from_pem(from.at("key").get<std::string>());
  if (!key) throw std::runtime_error(key.error().text());
  const auto forms = from.value("canonicalization", std::string("relaxed/relaxed"));
  const std::size_t slash = forms.find('/');
  policy::DkimIdentity identity{from.at("domain").get<std::string>(),
                                from.at("selector").get<std::string>(),
                                *std::move(key),
                                policy::default_signed_headers(),
                                policy::default_oversigned_headers(),
                                form_called(forms.substr(0, slash)),
                                form_called(forms.substr(slash + 1))};
  return std::make_shared<const policy::DkimIdentity>(std::move(identity));
}

std::string read_text(const json& test_case) {
  if (test_case.contains("message")) return test_case.at("message").get<std::string>();
  std::ifstream stream(test_case.at("path").get<std::string>(), std::ios::binary);
  if (!stream) throw std::runtime_error("there is no such file");
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

}  // namespace

json answer_dkim_sign(const json& test_case, const Options& options) {
  std::vector<std::shared_ptr<const policy::DkimIdentity>> identities;
  for (const json& identity : test_case.at("identities"))
    identities.push_back(read_identity(identity));
  const Message message = split_message(read_text(test_case));
  policy::DkimSigner signer(std::move(identities));
  for (std::size_t at = 0; at < message.body.size(); at += kPieceOctets)
    signer.take_body(std::string_view(message.body).substr(at, kPieceOctets));
  signer.body_ended();
  return {{"fields", signer.sign(message.header, clock_of(test_case, options))}};
}

}  // namespace rockdove::probe
