#include "tls_authority.h"

#include <optional>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "mta/base/assert.h"
#include "mta/base/ip_address.h"

namespace rockdove::net {

namespace {

bssl::UniquePtr<EVP_PKEY> new_key() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  MTA_ASSERT(EC_KEY_generate_key(ec.get()) == 1);
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  MTA_ASSERT(EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) == 1);
  return key;
}

void set_name(X509_NAME* name, const std::string& text) {
  MTA_ASSERT(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                        reinterpret_cast<const std::uint8_t*>(text.data()),
                                        static_cast<int>(text.size()), -1, 0) == 1);
}

void add_extension(X509* to, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const bssl::UniquePtr<X509_EXTENSION> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, const_cast<char*>(value.c_str())));
  MTA_ASSERT(extension != nullptr && X509_add_ext(to, extension.get(), -1) == 1);
}

bssl::UniquePtr<X509> begin_certificate(const std::string& name, EVP_PKEY* key) {
  static std::uint64_t serial = 1;
  bssl::UniquePtr<X509> made(X509_new());
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.get()), ++serial);
  set_name(X509_get_subject_name(made.get()), name);
  X509_set_pubkey(made.get(), key);
  return made;
}

void set_validity(X509* certificate, base::Duration begins, base::Duration ends) {
  const auto seconds = [](base::Duration d) {
    return std::chrono::duration_cast<std::chrono::seconds>(d).count();
  };
  X509_gmtime_adj(X509_getm_notBefore(certificate), seconds(begins));
  X509_gmtime_adj(X509_getm_notAfter(certificate), seconds(ends));
}

std::string text_of(const bssl::UniquePtr<BIO>& bio) {
  const std::uint8_t* octets = nullptr;
  std::size_t count = 0;
  MTA_ASSERT(BIO_mem_contents(bio.get(), &octets, &count) == 1);
  return {reinterpret_cast<const char*>(octets), count};
}

std::string pem_of(X509* certificate) {
  const bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  MTA_ASSERT(PEM_write_bio_X509(bio.get(), certificate) == 1);
  return text_of(bio);
}

}  // namespace

struct Authority::Parts {
  bssl::UniquePtr<EVP_PKEY> key = new_key();
  bssl::UniquePtr<X509> certificate;
};

Authority::Authority() : parts_(std::make_unique<Parts>()) {}

Authority::~Authority() = default;

Authority::Authority(const std::string& name) : Authority() {
  parts_->certificate = begin_certificate(name, parts_->key.get());
  X509* made = parts_->certificate.get();
  X509_set_issuer_name(made, X509_get_subject_name(made));
  set_validity(made, base::Duration(-86'400'000), base::Duration(86'400'000));
  add_extension(made, made, NID_basic_constraints, "critical,CA:TRUE");
  MTA_ASSERT(X509_sign(made, parts_->key.get(), EVP_sha256()) != 0);
}

std::unique_ptr<Authority> Authority::below(const std::string& name) const {
  std::unique_ptr<Authority> lower(new Authority());
  lower->parts_->certificate = begin_certificate(name, lower->parts_->key.get());
  X509* made = lower->parts_->certificate.get();
  X509_set_issuer_name(made, X509_get_subject_name(parts_->certificate.get()));
  set_validity(made, base::Duration(-86'400'000), base::Duration(86'400'000));
  add_extension(made, parts_->certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  MTA_ASSERT(X509_sign(made, parts_->key.get(), EVP_sha256()) != 0);
  return lower;
}

std::string Authority::pem() const {
  return pem_of(parts_->certificate.get());
}

PemIdentity Authority::issue(const Issue& wanted) const {
  const bssl::UniquePtr<EVP_PKEY> key = new_key();
  const bssl::UniquePtr<X509> made = begin_certificate(wanted.common_name, key.get());
  X509_set_issuer_name(made.get(), X509_get_subject_name(parts_->certificate.get()));
  set_validity(made.get(), wanted.begins, wanted.ends);
  std::string names;
  for (const std::string& name : wanted.names) {
    const bool is_address = base::parse_ip_address(name).has_value();
    names += (names.empty() ? "" : ",") + std::string(is_address ? "IP:" : "DNS:") + name;
  }
  X509* issuer = parts_->certificate.get();
  if (!names.empty()) add_extension(made.get(), issuer, NID_subject_alt_name, names);
  add_extension(made.get(), issuer, NID_ext_key_usage,
                wanted.for_servers ? "serverAuth" : "clientAuth");
  MTA_ASSERT(X509_sign(made.get(), parts_->key.get(), EVP_sha256()) != 0);
  const bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  MTA_ASSERT(
      PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return {pem_of(made.get()), text_of(bio), "a test's certificate"};
}

}  // namespace rockdove::net
