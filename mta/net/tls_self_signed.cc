#include <cstdint>
#include <ctime>
#include <optional>
#include <string>

#include <openssl/asn1.h>
#include <openssl/base.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "mta/base/ip_address.h"
#include "mta/net/tls_certificate.h"

namespace rockdove::net {

namespace {

using base::Error;
using base::Result;

constexpr std::size_t kCommonNameOctetsMax = 64;  // RFC 5280, ub-common-name
constexpr std::chrono::hours kValidBefore{1};     // for peers whose clock is late

bssl::UniquePtr<EVP_PKEY> make_key(KeyKind kind) {
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (key == nullptr) return nullptr;
  switch (kind) {
    case KeyKind::Rsa2048: {
      bssl::UniquePtr<RSA> rsa(RSA_new());
      const bssl::UniquePtr<BIGNUM> exponent(BN_new());
      if (rsa == nullptr || exponent == nullptr || BN_set_word(exponent.get(), RSA_F4) != 1 ||
          RSA_generate_key_ex(rsa.get(), 2048, exponent.get(), nullptr) != 1 ||
          EVP_PKEY_set1_RSA(key.get(), rsa.get()) != 1) {
        return nullptr;
      }
      return key;
    }
    case KeyKind::P256: {
      bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
      if (ec == nullptr || EC_KEY_generate_key(ec.get()) != 1 ||
          EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) != 1) {
        return nullptr;
      }
      return key;
    }
  }
  return nullptr;
}

bool set_serial(X509* certificate) {
  // 63 random bits, never 0: RFC 5280 §4.1.2.2 wants a positive number.
  std::uint64_t number = 0;
  RAND_bytes(reinterpret_cast<std::uint8_t*>(&number), sizeof number);
  number = (number >> 1) | 1U;
  return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number) == 1;
}

bool set_subject(X509* certificate, const std::string& host) {
  X509_NAME* name = X509_get_subject_name(certificate);
  // What is too long for a common name stands in the alternative names alone.
  const std::string common = host.size() <= kCommonNameOctetsMax ? host : "rockdove";
  return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const std::uint8_t*>(common.data()),
                                    static_cast<int>(common.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1;
}

bool add_alternative_name(X509* certificate, const std::string& host) {
  const bssl::UniquePtr<GENERAL_NAMES> names(sk_GENERAL_NAME_new_null());
  bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
  if (names == nullptr || name == nullptr) return false;
  const std::optional<base::IpAddress> address = base::parse_ip_address(host);
  ASN1_STRING* value = address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
  if (value == nullptr) return false;
  if (address) {
    ASN1_STRING_set(value, address->octets().data(), address->is_v4() ? 4 : 16);
  } else {
    ASN1_STRING_set(value, host.data(), static_cast<int>(host.size()));
  }
  GENERAL_NAME_set0_value(name.get(), address ? GEN_IPADD : GEN_DNS, value);
  if (sk_GENERAL_NAME_push(names.get(), name.get()) == 0) return false;
  static_cast<void>(name.release());
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) ==
         1;
}

// Says that it is a TLS server's, and no authority.
bool add_constraints(X509* certificate, KeyKind kind) {
  const bssl::UniquePtr<BASIC_CONSTRAINTS> basic(BASIC_CONSTRAINTS_new());
  const bssl::UniquePtr<ASN1_BIT_STRING> usage(ASN1_BIT_STRING_new());
  const bssl::UniquePtr<EXTENDED_KEY_USAGE> extended(sk_ASN1_OBJECT_new_null());
  if (basic == nullptr || usage == nullptr || extended == nullptr) return false;
  constexpr int kDigitalSignature = 0;
  constexpr int kKeyEncipherment = 2;  // for clients that know RSA key exchange alone
  ASN1_BIT_STRING_set_bit(usage.get(), kDigitalSignature, 1);
  if (kind == KeyKind::Rsa2048) ASN1_BIT_STRING_set_bit(usage.get(), kKeyEncipherment, 1);
  // OBJ_nid2obj() gives one that nobody owns.
  if (sk_ASN1_OBJECT_push(extended.get(), OBJ_nid2obj(NID_server_auth)) == 0) return false;
  return X509_add1_ext_i2d(certificate, NID_basic_constraints, basic.get(), 1,
                           X509V3_ADD_DEFAULT) == 1 &&
         X509_add1_ext_i2d(certificate, NID_key_usage, usage.get(), 1, X509V3_ADD_DEFAULT) == 1 &&
         X509_add1_ext_i2d(certificate, NID_ext_key_usage, extended.get(), 0, X509V3_ADD_DEFAULT) ==
             1;
}

bool set_validity(X509* certificate, base::WallTime now, base::Duration valid_for) {
  const auto seconds = [](base::WallTime at) {
    return static_cast<std::time_t>(base::to_unix_milliseconds(at) / 1'000);
  };
  const bssl::UniquePtr<ASN1_TIME> begin(ASN1_TIME_set(nullptr, seconds(now - kValidBefore)));
  const bssl::UniquePtr<ASN1_TIME> end(ASN1_TIME_set(nullptr, seconds(now + valid_for)));
  return begin != nullptr && end != nullptr && X509_set1_notBefore(certificate, begin.get()) == 1 &&
         X509_set1_notAfter(certificate, end.get()) == 1;
}

std::string contents_of(const BIO* bio) {
  const std::uint8_t* octets = nullptr;
  std::size_t count = 0;
  if (BIO_mem_contents(bio, &octets, &count) != 1) return {};
  return {reinterpret_cast<const char*>(octets), count};
}

}  // namespace

Result<PemIdentity> make_self_signed(std::string_view host_name, KeyKind kind, base::WallTime now,
                                     base::Duration valid_for) {
  ERR_clear_error();
  const std::string host(host_name);
  const bssl::UniquePtr<EVP_PKEY> key = make_key(kind);
  const bssl::UniquePtr<X509> certificate(X509_new());
  constexpr long kVersion3 = 2;
  const bool is_made =
      key != nullptr && certificate != nullptr &&
      X509_set_version(certificate.get(), kVersion3) == 1 && set_serial(certificate.get()) &&
      set_subject(certificate.get(), host) && set_validity(certificate.get(), now, valid_for) &&
      X509_set_pubkey(certificate.get(), key.get()) == 1 &&
      add_alternative_name(certificate.get(), host) && add_constraints(certificate.get(), kind) &&
      X509_sign(certificate.get(), key.get(), EVP_sha256()) != 0;
  const bssl::UniquePtr<BIO> certificate_text(BIO_new(BIO_s_mem()));
  const bssl::UniquePtr<BIO> key_text(BIO_new(BIO_s_mem()));
  if (!is_made || PEM_write_bio_X509(certificate_text.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return Error("a certificate for " + host + " cannot be made: " + take_crypto_error());
  }
  return PemIdentity{contents_of(certificate_text.get()), contents_of(key_text.get()),
                     "the self-signed certificate for " + host};
}

}  // namespace rockdove::net
