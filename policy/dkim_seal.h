// The only door to OpenDKIM. The program links BoringSSL, and OpenDKIM needs OpenSSL, which defines
// the same symbol names; loaded side by side, the dynamic linker would mix the two. So everything
// that touches OpenDKIM lives in one shared library, libdkim_seal, made from the static archives of
// OpenDKIM and OpenSSL's libcrypto, which exports what this header declares and nothing else.
// See contrib/doc/adr/0005. Nothing of OpenSSL or OpenDKIM may show in this header: no type, no
// macro, no memory that one side allocates and the other frees.
#pragma once

#include <string>

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

}  // namespace rockdove::policy
