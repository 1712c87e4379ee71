#include "mta/net/tls_verify.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509v3.h>

#include "mta/base/ip_address.h"
#include "mta/base/text.h"
#include "mta/net/tls_certificate.h"

namespace rockdove::net {

namespace {

using base::Error;
using base::Result;

constexpr const char* kSystemFile = "/etc/ssl/certs/ca-certificates.crt";
constexpr std::size_t kFileOctetsMax = 16U << 20;
constexpr std::size_t kNamesShown = 3;
constexpr std::size_t kNameOctetsShown = 80;

Result<std::string> read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             &std::fclose);
  if (file == nullptr) return Error::system("opening " + path, errno);
  std::string text;
  char piece[16'384];
  while (const std::size_t octets = std::fread(piece, 1, sizeof piece, file.get())) {
    text.append(piece, octets);
    if (text.size() > kFileOctetsMax) return Error(path + " is larger than 16 MiB");
  }
  if (std::ferror(file.get()) != 0) return Error::system("reading " + path, errno);
  return text;
}

std::string subject_of(X509* certificate) {
  char text[256];
  const int octets = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                               text, sizeof text);
  if (octets <= 0) return "it";
  return base::printable({text, static_cast<std::size_t>(octets)}, kNameOctetsShown);
}

std::string names_shown(const X509& certificate) {
  const std::vector<std::string> names = names_of(certificate);
  if (names.empty()) return "no name at all (there is no subject alternative name in it)";
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kNamesShown; ++i) {
    if (i > 0) text += ", ";
    base::append_printable(text, names[i], kNameOctetsShown);
  }
  if (names.size() > kNamesShown) {
    text += " and " + std::to_string(names.size() - kNamesShown) + " more";
  }
  return text;
}

std::string authority_fault(X509* leaf, const std::string& why_empty) {
  if (is_self_signed(*leaf)) return "the certificate is self-signed";
  if (!why_empty.empty()) return "no certificate authority is known here: " + why_empty;
  return "the certificate's issuer is not known here: it was issued by \"" + [leaf] {
    char text[256];
    const int octets =
        X509_NAME_get_text_by_NID(X509_get_issuer_name(leaf), NID_commonName, text, sizeof text);
    return octets <= 0
               ? std::string("?")
               : base::printable({text, static_cast<std::size_t>(octets)}, kNameOctetsShown);
  }() + "\"";
}

// Of what X509_verify_cert() said about the certificate at `depth` in the chain.
TlsAuthorities::Judgement fault_of(X509_STORE_CTX* context, X509* leaf, const std::string& host,
                                   const std::string& why_empty) {
  const int code = X509_STORE_CTX_get_error(context);
  const int depth = X509_STORE_CTX_get_error_depth(context);
  X509* at = X509_STORE_CTX_get_current_cert(context);
  const std::string which = depth == 0 || at == nullptr
                                ? "the certificate"
                                : "the certificate of the authority \"" + subject_of(at) + "\"";
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return {which + " has expired", SSL_AD_CERTIFICATE_EXPIRED};
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return {which + " is not valid yet", SSL_AD_CERTIFICATE_EXPIRED};
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return {"the certificate is for " + names_shown(*leaf) + ", not for " + host,
              SSL_AD_BAD_CERTIFICATE};
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return {"the certificate is self-signed", SSL_AD_UNKNOWN_CA};
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return {authority_fault(leaf, why_empty), SSL_AD_UNKNOWN_CA};
    case X509_V_ERR_INVALID_PURPOSE:
      return {which + " is not for servers", SSL_AD_UNSUPPORTED_CERTIFICATE};
    default:
      return {which + " is not good: " + X509_verify_cert_error_string(code),
              SSL_AD_BAD_CERTIFICATE};
  }
}

bool set_wanted(X509_STORE_CTX* context, const std::string& host) {
  X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(context);
  if (base::parse_ip_address(host)) {
    return X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1;
  }
  // A common name is no name of a host any more: RFC 9525 §2.
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size()) == 1;
}

}  // namespace

Result<TlsAuthorities> TlsAuthorities::load(const std::string& ca_file) {
  TlsAuthorities authorities;
  authorities.is_systems_ = ca_file.empty();
  authorities.store_.reset(X509_STORE_new());
  const std::string path = authorities.is_systems_ ? kSystemFile : ca_file;
  const Result<std::string> text = read_file(path);
  if (!text) {
    if (!authorities.is_systems_) return text.error();
    authorities.why_empty_ = text.error().text() + " (package ca-certificates)";
    return authorities;
  }
  const auto certificates = read_certificates(*text);
  if (!certificates) return certificates.error().in(path);
  for (const bssl::UniquePtr<X509>& certificate : *certificates) {
    X509_STORE_add_cert(authorities.store_.get(), certificate.get());
  }
  ERR_clear_error();  // the same one twice
  return authorities;
}

TlsAuthorities::Judgement TlsAuthorities::judge(const SSL& connection,
                                                const std::string& host) const {
  const STACK_OF(CRYPTO_BUFFER)* shown = SSL_get0_peer_certificates(&connection);
  const bssl::UniquePtr<STACK_OF(X509)> chain(sk_X509_new_null());
  for (std::size_t i = 0; shown != nullptr && i < sk_CRYPTO_BUFFER_num(shown); ++i) {
    bssl::UniquePtr<X509> certificate(X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(shown, i)));
    if (certificate == nullptr) {
      return {"the certificate cannot be read: " + take_crypto_error(), SSL_AD_BAD_CERTIFICATE};
    }
    if (sk_X509_push(chain.get(), certificate.get()) > 0) static_cast<void>(certificate.release());
  }
  if (sk_X509_num(chain.get()) == 0) {
    return {"the peer shows no certificate", SSL_AD_CERTIFICATE_UNKNOWN};
  }
  X509* leaf = sk_X509_value(chain.get(), 0);
  const bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  if (context == nullptr ||
      X509_STORE_CTX_init(context.get(), store_.get(), leaf, chain.get()) != 1 ||
      X509_STORE_CTX_set_default(context.get(), "ssl_server") != 1 ||
      !set_wanted(context.get(), host)) {
    return {"the certificate cannot be checked: " + take_crypto_error(), SSL_AD_INTERNAL_ERROR};
  }
  // Who names a file means all that is in it, also what is not an authority's root.
  unsigned long flags = X509_V_FLAG_TRUSTED_FIRST;
  if (!is_systems_) flags |= X509_V_FLAG_PARTIAL_CHAIN;
  X509_STORE_CTX_set_flags(context.get(), flags);
  const bool is_good = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (is_good) return {};
  return fault_of(context.get(), leaf, host, why_empty_);
}

}  // namespace rockdove::net
