#include "mta/net/tls_certificate.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "mta/base/ip_address.h"
#include "mta/base/text.h"

namespace rockdove::net {

namespace {

using base::Error;
using base::Result;

constexpr std::size_t kNamesMax = 1'000;
constexpr std::size_t kChainMax = 20;

// Of a PEM file; some systems' lists of authorities have 400 of them.
constexpr std::size_t kCertificatesMax = 5'000;

bssl::UniquePtr<BIO> over(std::string_view text) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// A key with a passphrase cannot be read: nobody is there to be asked.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

std::string text_of(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<std::size_t>(ASN1_STRING_length(string))};
}

std::string address_text(const ASN1_STRING* string) {
  const unsigned char* octets = ASN1_STRING_get0_data(string);
  if (ASN1_STRING_length(string) == 4) {
    std::array<std::uint8_t, 4> v4{};
    std::copy_n(octets, v4.size(), v4.begin());
    return base::format_ip_address(base::IpAddress::v4(v4));
  }
  if (ASN1_STRING_length(string) != 16) return {};
  std::array<std::uint8_t, 16> v6{};
  std::copy_n(octets, v6.size(), v6.begin());
  return base::format_ip_address(base::IpAddress::v6(v6));
}

TlsIdentity::Kind kind_of(const EVP_PKEY& key) {
  if (EVP_PKEY_id(&key) == EVP_PKEY_RSA) return TlsIdentity::Kind::Rsa;
  if (EVP_PKEY_id(&key) != EVP_PKEY_EC) return TlsIdentity::Kind::OtherKey;
  switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(&key)))) {
    case NID_X9_62_prime256v1:
      return TlsIdentity::Kind::P256;
    case NID_secp384r1:
      return TlsIdentity::Kind::P384;
    default:
      return TlsIdentity::Kind::OtherKey;
  }
}

std::string key_name(const EVP_PKEY* key) {
  if (key == nullptr) return "of an unknown kind";
  switch (kind_of(*key)) {
    case TlsIdentity::Kind::Rsa:
      return "RSA-" + std::to_string(EVP_PKEY_bits(key));
    case TlsIdentity::Kind::P256:
      return "P-256";
    case TlsIdentity::Kind::P384:
      return "P-384";
    case TlsIdentity::Kind::OtherKey:
      break;
  }
  if (EVP_PKEY_id(key) == EVP_PKEY_ED25519) return "Ed25519";
  return EVP_PKEY_id(key) == EVP_PKEY_EC ? "P-" + std::to_string(EVP_PKEY_bits(key))
                                         : "of an unknown kind";
}

Result<base::WallTime> wall_time_of(const ASN1_TIME* time) {
  const bssl::UniquePtr<ASN1_TIME> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (epoch == nullptr || ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) {
    static_cast<void>(take_crypto_error());
    return Error("its validity is no time");
  }
  const std::int64_t sum = std::int64_t{days} * 86'400 + seconds;
  return base::WallTime(std::chrono::milliseconds(std::max<std::int64_t>(sum, 0) * 1'000));
}

}  // namespace

std::string take_crypto_error() {
  const std::uint32_t code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  if (reason == nullptr) return "unknown error";
  std::string text = base::lower_case(reason);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

bool is_self_signed(const X509& certificate) {
  // X509_verify() changes nothing; older signatures have no const.
  X509* asked = const_cast<X509*>(&certificate);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  if (X509_NAME_cmp(X509_get_subject_name(asked), X509_get_issuer_name(asked)) != 0) return false;
  const bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(asked));
  const bool is = key != nullptr && X509_verify(asked, key.get()) == 1;
  ERR_clear_error();
  return is;
}

Result<std::vector<bssl::UniquePtr<X509>>> read_certificates(std::string_view pem) {
  std::vector<bssl::UniquePtr<X509>> certificates;
  if (pem.find("-----BEGIN") == std::string_view::npos) {
    return Error("it holds no PEM block (-----BEGIN CERTIFICATE-----)");
  }
  const bssl::UniquePtr<BIO> bio = over(pem);
  ERR_clear_error();
  while (bio != nullptr) {
    bssl::UniquePtr<X509> next(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (next == nullptr) break;
    certificates.push_back(std::move(next));
    if (certificates.size() > kCertificatesMax) return Error("it holds too many certificates");
  }
  const std::uint32_t code = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  const std::string why = take_crypto_error();
  if (!at_end) {
    return Error("certificate " + std::to_string(certificates.size() + 1) +
                 " in it cannot be read: " + why);
  }
  if (certificates.empty()) return Error("it holds no certificate");
  return certificates;
}

std::vector<std::string> names_of(const X509& certificate) {
  std::vector<std::string> names;
  const bssl::UniquePtr<GENERAL_NAMES> all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  const std::size_t count =
      all == nullptr ? 0 : std::min(sk_GENERAL_NAME_num(all.get()), kNamesMax);
  for (std::size_t i = 0; i < count; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type == GEN_DNS) names.push_back(base::lower_case(text_of(name->d.dNSName)));
    if (name->type != GEN_IPADD) continue;
    std::string address = address_text(name->d.iPAddress);
    if (!address.empty()) names.push_back(std::move(address));
  }
  return names;
}

bool name_covers(std::string_view name, std::string_view host) {
  if (name == host) return true;
  if (name.substr(0, 2) != "*.") return false;
  const std::size_t dot = host.find('.');
  return dot != std::string_view::npos && dot > 0 && host.substr(dot) == name.substr(1);
}

Result<CertificateFacts> certificate_facts(std::string_view pem) {
  const auto all = read_certificates(pem);
  if (!all) return all.error();
  X509* first = all->front().get();
  CertificateFacts facts;
  facts.names = names_of(*first);
  facts.key = key_name(bssl::UniquePtr<EVP_PKEY>(X509_get_pubkey(first)).get());
  const Result<base::WallTime> begin = wall_time_of(X509_get0_notBefore(first));
  if (!begin) return begin.error();
  const Result<base::WallTime> end = wall_time_of(X509_get0_notAfter(first));
  if (!end) return end.error();
  facts.not_before = *begin;
  facts.not_after = *end;
  facts.is_self_signed = is_self_signed(*first);
  return facts;
}

Result<TlsIdentity> read_identity(const PemIdentity& pem) {
  TlsIdentity identity;
  const auto certificates = read_certificates(pem.certificate);
  if (!certificates) return certificates.error().in(pem.source);
  if (certificates->size() > kChainMax) {
    return Error("a chain of more than " + std::to_string(kChainMax) + " certificates")
        .in(pem.source);
  }
  const bssl::UniquePtr<BIO> bio = over(pem.key);
  ERR_clear_error();
  identity.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (identity.key == nullptr) {
    return Error("its private key cannot be read (PEM, without a passphrase): " +
                 take_crypto_error())
        .in(pem.source);
  }
  X509* first = certificates->front().get();
  const bssl::UniquePtr<EVP_PKEY> shown(X509_get_pubkey(first));
  if (shown == nullptr || EVP_PKEY_cmp(shown.get(), identity.key.get()) != 1) {
    ERR_clear_error();
    return Error("the private key does not belong to the (first) certificate").in(pem.source);
  }
  for (const bssl::UniquePtr<X509>& certificate : *certificates) {
    std::uint8_t* der = nullptr;
    const int octets = i2d_X509(certificate.get(), &der);
    const bssl::UniquePtr<std::uint8_t> kept(der);
    if (octets <= 0) return Error("its certificate cannot be written as DER").in(pem.source);
    identity.chain.emplace_back(CRYPTO_BUFFER_new(der, static_cast<std::size_t>(octets), nullptr));
  }
  identity.names = names_of(*first);
  identity.kind = kind_of(*identity.key);
  return identity;
}

}  // namespace rockdove::net
