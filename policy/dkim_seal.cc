#include "policy/dkim_seal.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
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

struct KeyContextFree {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
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
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, KeyContextFree>;
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

using Outcome = DkimSealResult::Outcome;

// OpenDKIM holds x= and t= against time(), which the linker puts __wrap_time() in the place of.
thread_local std::int64_t clock_of_message =
    -1;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

class ClockOfMessage {
 public:
  explicit ClockOfMessage(std::int64_t now) { clock_of_message = now; }

  ClockOfMessage(const ClockOfMessage&) = delete;
  ClockOfMessage& operator=(const ClockOfMessage&) = delete;

  ~ClockOfMessage() { clock_of_message = -1; }
};

// What a callback of OpenDKIM's has to know of its message.
struct VerifierState {
  explicit VerifierState(DKIM* handle) : dkim(handle) {}

  Dkim dkim;
  std::vector<bool> chosen;
  std::vector<DkimKeyText> keys;
  std::vector<DkimSealResult> results;
  std::size_t current = 0;  // the signature that is being verified
  std::string problem;      // of the whole message
};

VerifierState& state_of(DKIM* dkim) {
  return *static_cast<VerifierState*>(dkim_get_user_context(dkim));
}

DKIM_CBSTAT choose_signatures(DKIM* dkim, DKIM_SIGINFO** signatures, int count) {
  VerifierState& state = state_of(dkim);
  const bool is_same = static_cast<std::size_t>(count) == state.chosen.size();
  if (!is_same) state.problem = "OpenDKIM finds another number of signatures";
  for (int i = 0; i < count; ++i) {
    if (!is_same || !state.chosen[static_cast<std::size_t>(i)]) dkim_sig_ignore(signatures[i]);
  }
  return DKIM_CBSTAT_CONTINUE;
}

// Answers from the keys that the caller has given; OpenDKIM's buffer holds some 1,000 octets.
DKIM_CBSTAT give_key(DKIM* dkim, DKIM_SIGINFO* /*signature*/, unsigned char* buffer,
                     std::size_t buffer_octets) {
  VerifierState& state = state_of(dkim);
  const DkimKeyText& key = state.keys[state.current];
  switch (key.kind) {
    case DkimKeyText::Kind::NotFound:
      return DKIM_CBSTAT_NOTFOUND;
    case DkimKeyText::Kind::Unavailable:
      return DKIM_CBSTAT_ERROR;
    case DkimKeyText::Kind::Record:
      break;
  }
  if (key.record.size() >= buffer_octets || key.record.find('\0') != std::string::npos) {
    return DKIM_CBSTAT_NOTFOUND;
  }
  std::memcpy(buffer, key.record.c_str(), key.record.size() + 1);
  return DKIM_CBSTAT_CONTINUE;
}

DkimSealResult result_of(DKIM_SIGINFO* signature, DKIM_STAT status) {
  DkimSealResult result;
  dkim_sig_getkeysize(signature, &result.key_bits);
  result.is_testing = (dkim_sig_getflags(signature) & DKIM_SIGFLAG_TESTKEY) != 0;
  const int error = dkim_sig_geterror(signature);
  const bool has_passed = (dkim_sig_getflags(signature) & DKIM_SIGFLAG_PASSED) != 0;
  if (status != DKIM_STAT_OK || error == DKIM_SIGERROR_KEYFAIL) {
    result.outcome = Outcome::TemporaryError;
    result.reason = "its key cannot be had now";
  } else if (error == DKIM_SIGERROR_OK && has_passed &&
             dkim_sig_getbh(signature) == DKIM_SIGBH_MATCH) {
    result.outcome = Outcome::Pass;
  } else if (error == DKIM_SIGERROR_BADSIG) {
    const bool is_body = dkim_sig_getbh(signature) == DKIM_SIGBH_MISMATCH;
    result.outcome = Outcome::Fail;
    result.reason = is_body ? "the body is not the one that was signed" : "it does not verify";
  } else {
    const char* text = dkim_sig_geterrorstr(error);
    result.reason = text == nullptr ? "OpenDKIM does not say why" : text;
  }
  return result;
}

// Each signature by itself: OpenDKIM's own verdict of the message would end at the first key that
// cannot be had. Nothing is left to OpenDKIM after that.
DKIM_CBSTAT verify_each(DKIM* dkim, DKIM_SIGINFO** signatures, int count) {
  VerifierState& state = state_of(dkim);
  for (int i = 0; i < count; ++i) {
    state.current = static_cast<std::size_t>(i);
    if (state.current >= state.chosen.size() || !state.chosen[state.current]) continue;
    const DKIM_STAT status = dkim_sig_process(dkim, signatures[i]);
    state.results[state.current] = result_of(signatures[i], status);
  }
  return DKIM_CBSTAT_REJECT;
}

Library make_verifying_library() {
  Library library(dkim_init(nullptr, nullptr));
  if (!library) return nullptr;
  // Signatures are told apart by their place, so OpenDKIM must count bad ones, too. Keys are asked
  // for at the end only. Clocks are the caller's, so that no time is too far from OpenDKIM's own.
  unsigned flags = DKIM_LIBFLAGS_BADSIGHANDLES | DKIM_LIBFLAGS_DELAYSIGPROC;
  dkim_options(library.get(), DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags, sizeof flags);
  dkim_set_prescreen(library.get(), choose_signatures);
  dkim_set_final(library.get(), verify_each);
  dkim_set_key_lookup(library.get(), give_key);
  return library;
}

// One for all threads, as OpenDKIM's own filter has it; it is not changed after it is made.
DKIM_LIB* verifying_library() {
  static const Library kLibrary = make_verifying_library();
  return kLibrary.get();
}

}  // namespace

extern "C" std::time_t __wrap_time(std::time_t* out);  // NOLINT(bugprone-reserved-identifier)

extern "C" std::time_t __wrap_time(std::time_t* out) {  // NOLINT(bugprone-reserved-identifier)
  std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  if (clock_of_message >= 0) now = clock_of_message;
  if (out != nullptr) *out = now;
  return now;
}

struct SealedRsaKey::State {
  Key key;
};

SealedRsaKey::SealedRsaKey(std::string_view pem) : state_(std::make_unique<State>()) {
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // Nobody is asked for the password of an encrypted key.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  if (in) state_->key.reset(PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr));
  if (state_->key && EVP_PKEY_get_base_id(state_->key.get()) != EVP_PKEY_RSA) state_->key.reset();
  ERR_clear_error();
}

SealedRsaKey::~SealedRsaKey() = default;

std::string SealedRsaKey::sign_rsa_sha256(const std::array<std::uint8_t, 32>& digest) const {
  if (!state_->key) return {};
  const KeyContext context(EVP_PKEY_CTX_new(state_->key.get(), nullptr));
  if (!context || EVP_PKEY_sign_init(context.get()) <= 0 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) <= 0 ||
      EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) <= 0) {
    ERR_clear_error();
    return {};
  }
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(state_->key.get())), '\0');
  std::size_t size = signature.size();
  if (EVP_PKEY_sign(context.get(), octets(signature), &size, digest.data(), digest.size()) <= 0) {
    ERR_clear_error();
    return {};
  }
  signature.resize(size);
  return signature;
}

struct DkimSealVerifier::State : VerifierState {
  using VerifierState::VerifierState;
};

DkimSealVerifier::DkimSealVerifier() {
  DKIM_STAT status = DKIM_STAT_OK;
  DKIM_LIB* library = verifying_library();
  DKIM* dkim =
      library == nullptr ? nullptr : dkim_verify(library, octets("verify"), nullptr, &status);
  state_ = std::make_unique<State>(dkim);
  if (dkim == nullptr) {
    state_->problem = "OpenDKIM does not start";
    return;
  }
  dkim_set_user_context(dkim, static_cast<VerifierState*>(state_.get()));
  // OpenDKIM 2.11 writes one place behind its list of signed fields when all fields of the header
  // are signed and h= goes on. No h= can name this one, because of the blank in its name.
  add_field("never signed: x");
}

DkimSealVerifier::~DkimSealVerifier() = default;

void DkimSealVerifier::add_field(std::string_view field) {
  // What it calls a syntax error it says again of the signature.
  if (state_->dkim && !field.empty()) {
    static_cast<void>(dkim_header(state_->dkim.get(), octets(field), field.size()));
  }
}

void DkimSealVerifier::end_header(std::vector<bool> chosen, std::int64_t now) {
  state_->chosen = std::move(chosen);
  if (!state_->dkim) return;
  const ClockOfMessage clock(now);
  const DKIM_STAT status = dkim_eoh(state_->dkim.get());
  if (status == DKIM_STAT_OK || status == DKIM_STAT_NOSIG || !state_->problem.empty()) return;
  const char* text = dkim_geterror(state_->dkim.get());
  state_->problem = text == nullptr ? "OpenDKIM does not take the header" : text;
}

void DkimSealVerifier::add_body(std::string_view text) {
  if (!state_->problem.empty() || text.empty()) return;
  if (dkim_body(state_->dkim.get(), octets(text), text.size()) != DKIM_STAT_OK) {
    state_->problem = "OpenDKIM does not take the body";
  }
}

std::vector<DkimSealResult> DkimSealVerifier::finish(std::vector<DkimKeyText> keys) {
  State& state = *state_;
  state.keys = std::move(keys);
  state.keys.resize(state.chosen.size());
  state.results.resize(state.chosen.size());
  if (state.problem.empty() && dkim_eom(state.dkim.get(), nullptr) != DKIM_STAT_CBREJECT) {
    state.problem = "OpenDKIM does not take the end of the body";
  }
  for (DkimSealResult& result : state.results) {
    if (!state.problem.empty()) result.reason = state.problem;
  }
  return std::move(state.results);
}

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
