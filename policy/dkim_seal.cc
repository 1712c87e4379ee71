#include "policy/dkim_seal.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

// <opendkim/dkim.h> writes C's name for bool.
#define _Bool bool  // NOLINT(bugprone-reserved-identifier)
#include <opendkim/dkim.h>
#undef _Bool

namespace rockdove::policy {
namespace {

constexpr unsigned kKeyBits = 2048;  // RFC 8301 §3.2: signers use at least 2048.
constexpr std::string_view kDomain = "self-test.invalid";
constexpr std::string_view kSelector = "self-test";
constexpr std::array<std::string_view, 2> kHeaders = {"From: <self-test@self-test.invalid>",
                                                      "Subject: a signature of our own"};
constexpr std::string_view kBody = "One line.\r\n";

struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};

struct LibraryFree {
  void operator()(DKIM_LIB* library) const { dkim_close(library); }
};

struct DkimFree {
  void operator()(DKIM* dkim) const { dkim_free(dkim); }
};

using Key = std::unique_ptr<EVP_PKEY, KeyFree>;
using Bio = std::unique_ptr<BIO, BioFree>;
using Library = std::unique_ptr<DKIM_LIB, LibraryFree>;
using Dkim = std::unique_ptr<DKIM, DkimFree>;

// OpenDKIM takes octets as unsigned and not const, and changes none of them.
unsigned char* octets(std::string_view text) {
  return reinterpret_cast<unsigned char*>(
      const_cast<char*>(text.data()));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

std::string private_key_pem(EVP_PKEY* key) {
  const Bio out(BIO_new(BIO_s_mem()));
  if (!out ||
      PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return {};
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return length > 0 ? std::string(text, static_cast<std::size_t>(length)) : std::string();
}

// The TXT record that publishes the key, RFC 6376 §3.6.1.
std::string key_record(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key, &der);
  if (length <= 0) return {};
  std::string base64(static_cast<std::size_t>(length) * 4 / 3 + 8, '\0');
  const int written = EVP_EncodeBlock(octets(base64), der, length);
  OPENSSL_free(der);
  base64.resize(static_cast<std::size_t>(written));
  return "v=DKIM1; k=rsa; p=" + base64;
}

// Answers OpenDKIM's question for the key: the record stands in the user's context.
DKIM_STAT answer_key(DKIM* dkim, DKIM_SIGINFO* /*signature*/, unsigned char* buffer,
                     std::size_t buffer_octets) {
  const auto* record = static_cast<const std::string*>(dkim_get_user_context(dkim));
  if (record->size() >= buffer_octets) return DKIM_STAT_INTERNAL;
  std::memcpy(buffer, record->c_str(), record->size() + 1);
  return DKIM_STAT_OK;
}

// Shows OpenDKIM the message up to the end of its body.
DKIM_STAT show_message(DKIM* dkim, std::string_view signature) {
  DKIM_STAT status = DKIM_STAT_OK;
  if (!signature.empty()) status = dkim_header(dkim, octets(signature), signature.size());
  for (const std::string_view header : kHeaders) {
    if (status == DKIM_STAT_OK) status = dkim_header(dkim, octets(header), header.size());
  }
  if (status == DKIM_STAT_OK) status = dkim_eoh(dkim);
  if (status == DKIM_STAT_OK) status = dkim_body(dkim, octets(kBody), kBody.size());
  if (status == DKIM_STAT_OK) status = dkim_eom(dkim, nullptr);
  return status;
}

// The value of DKIM-Signature, or nothing.
std::string sign(DKIM_LIB* library, std::string_view pem) {
  DKIM_STAT status = DKIM_STAT_OK;
  const std::string key(pem);
  const Dkim dkim(dkim_sign(library, octets("sign"), nullptr, octets(key), octets(kSelector),
                            octets(kDomain), DKIM_CANON_RELAXED, DKIM_CANON_RELAXED,
                            DKIM_SIGN_RSASHA256, -1, &status));
  if (!dkim || show_message(dkim.get(), {}) != DKIM_STAT_OK) return {};
  unsigned char* value = nullptr;
  std::size_t length = 0;
  if (dkim_getsighdr_d(dkim.get(), 0, &value, &length) != DKIM_STAT_OK) return {};
  return {reinterpret_cast<const char*>(value), length};
}

bool verify(DKIM_LIB* library, std::string_view signature, std::string& record) {
  DKIM_STAT status = DKIM_STAT_OK;
  const Dkim dkim(dkim_verify(library, octets("verify"), nullptr, &status));
  if (!dkim || dkim_set_user_context(dkim.get(), &record) != DKIM_STAT_OK) return false;
  return show_message(dkim.get(), "DKIM-Signature: " + std::string(signature)) == DKIM_STAT_OK;
}

std::string library_versions() {
  const std::uint32_t version = dkim_libversion();
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%u.%u.%u", version >> 24U, (version >> 16U) & 0xffU,
                (version >> 8U) & 0xffU);
  return std::string("OpenDKIM ") + text.data() + " over " + OpenSSL_version(OPENSSL_VERSION);
}

// What OpenSSL keeps in globals is given back when the library is unloaded.
struct OpensslAtUnload {
  ~OpensslAtUnload() { OPENSSL_cleanup(); }
};

const OpensslAtUnload kOpensslAtUnload;

}  // namespace

DkimSelfTest run_dkim_self_test() {
  DkimSelfTest result;
  result.libraries = library_versions();
  const Library library(dkim_init(nullptr, nullptr));
  if (!library) {
    result.problem = "OpenDKIM does not start";
    return result;
  }
  const Key key(EVP_RSA_gen(kKeyBits));
  if (!key) {
    result.problem = "OpenSSL makes no key";
    return result;
  }
  std::string record = key_record(key.get());
  result.signature = sign(library.get(), private_key_pem(key.get()));
  if (result.signature.empty()) {
    result.problem = "OpenDKIM does not sign";
    return result;
  }
  dkim_set_key_lookup(library.get(), answer_key);
  result.is_verified = verify(library.get(), result.signature, record);
  if (!result.is_verified) result.problem = "OpenDKIM does not verify what it signed";
  return result;
}

}  // namespace rockdove::policy
