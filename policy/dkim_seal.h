// The only door to OpenDKIM. The program links BoringSSL, and OpenDKIM needs OpenSSL, which defines
// the same symbol names; loaded side by side, the dynamic linker would mix the two. So everything
// that touches OpenDKIM lives in one shared library, libdkim_seal, made from the static archives of
// OpenDKIM and OpenSSL's libcrypto, which exports what this header declares and nothing else.
// See contrib/doc/adr/0005. Nothing of OpenSSL or OpenDKIM may show in this header: no type, no
// macro, no memory that one side allocates and the other frees.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rockdove::policy {

// What a signature that was made and verified within the library looked like.
struct DkimSelfTest {
  // The versions of both libraries, as they say it: "OpenDKIM 2.11.0 over OpenSSL 3.0.19 …".
  std::string libraries;
  // The value of the DKIM-Signature field; empty when signing failed.
  std::string signature;
  // Whether OpenDKIM, given the public key, called that signature good.
  bool is_verified = false;
  // What failed, for a person; empty when nothing did.
  std::string problem;
};

// Makes a fresh RSA-2048 key, signs a short message with it and verifies the signature, all through
// OpenDKIM and the OpenSSL within the library. Takes about a tenth of a second, nearly all for the
// key. Any thread may call it.
[[nodiscard, gnu::visibility("default")]] DkimSelfTest run_dkim_self_test();

// An RSA key in OpenSSL's hands, parsed once. Any number of threads may sign with it at once.
class [[gnu::visibility("default")]] SealedRsaKey {
 public:
  // PKCS #8 or PKCS #1, not encrypted. What cannot be read makes a key that signs nothing.
  explicit SealedRsaKey(std::string_view pem);
  SealedRsaKey(const SealedRsaKey&) = delete;
  SealedRsaKey& operator=(const SealedRsaKey&) = delete;
  ~SealedRsaKey();

  // PKCS #1 v1.5 over a SHA-256 digest (RFC 8017 §8.2); empty: OpenSSL does not sign.
  [[nodiscard]] std::string sign_rsa_sha256(const std::array<std::uint8_t, 32>& digest) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What the DNS has at a signature's key name.
struct DkimKeyText {
  enum class Kind : std::uint8_t { Record, NotFound, Unavailable };

  Kind kind = Kind::NotFound;
  std::string record;
};

// What OpenDKIM says of one signature. It takes SHA-1 and short keys: whoever asks judges those.
struct DkimSealResult {
  enum class Outcome : std::uint8_t { Pass, Fail, PermanentError, TemporaryError };

  Outcome outcome = Outcome::PermanentError;
  std::string reason;       // for a person; with Pass empty
  unsigned key_bits = 0;    // 0: no key was looked at; of Ed25519 nothing useful
  bool is_testing = false;  // the key has t=y
};

// The signatures of one message, in OpenDKIM's hands. Give it the fields of the header, end the
// header, give it the body, finish. The caller has read the signatures before, and chooses which of
// them may be verified (policy/dkim_verifier.h); OpenDKIM asks nobody for keys and looks at no
// clock. One thread at a time.
class [[gnu::visibility("default")]] DkimSealVerifier {
 public:
  DkimSealVerifier();
  DkimSealVerifier(const DkimSealVerifier&) = delete;
  DkimSealVerifier& operator=(const DkimSealVerifier&) = delete;
  ~DkimSealVerifier();

  // A field without its last CRLF.
  void add_field(std::string_view field);
  // One for each DKIM-Signature field, in their order: whether to verify it. The time is in seconds
  // since 1970.
  void end_header(std::vector<bool> chosen, std::int64_t now);
  void add_body(std::string_view octets);
  // A key for each DKIM-Signature field, in their order; those of the unchosen are not looked at.
  // The results likewise.
  [[nodiscard]] std::vector<DkimSealResult> finish(std::vector<DkimKeyText> keys);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rockdove::policy
