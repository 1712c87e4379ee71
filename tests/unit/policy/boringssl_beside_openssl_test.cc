// Goal: BoringSSL (ours, for TLS) and OpenSSL (OpenDKIM's, sealed in libdkim_seal) work in one
// process. Method: a TLS handshake in memory and a DKIM signature, in turn and interleaved; each
// library is asked who it is, so that a mix-up by the dynamic linker shows.
#include <array>
#include <memory>
#include <string>

#include <catch2/catch.hpp>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "policy/dkim_seal.h"

namespace rockdove::policy {
namespace {

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

  void operator()(SSL* session) const { SSL_free(session); }

  void operator()(X509* certificate) const { X509_free(certificate); }

  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

  void operator()(EC_KEY* key) const { EC_KEY_free(key); }
};

template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<EVP_PKEY> make_key() {
  Owned<EVP_PKEY> key(EVP_PKEY_new());
  Owned<EC_KEY> curve_key(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  REQUIRE(EC_KEY_generate_key(curve_key.get()) == 1);
  REQUIRE(EVP_PKEY_set1_EC_KEY(key.get(), curve_key.get()) == 1);
  return key;
}

Owned<X509> make_certificate(EVP_PKEY* key) {
  Owned<X509> certificate(X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_get_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_get_notAfter(certificate.get()), 3600);
  REQUIRE(X509_set_pubkey(certificate.get(), key) == 1);
  REQUIRE(X509_sign(certificate.get(), key, EVP_sha256()) > 0);
  return certificate;
}

// Moves what one side wants to send into the other's input; says whether there was anything.
bool carry(SSL* from, SSL* to) {
  std::array<char, 4096> bytes{};
  const int count = BIO_read(SSL_get_wbio(from), bytes.data(), static_cast<int>(bytes.size()));
  if (count <= 0) return false;
  REQUIRE(BIO_write(SSL_get_rbio(to), bytes.data(), count) == count);
  return true;
}

// A client and a server that talk through memory.
class TlsPair {
 public:
  TlsPair() : context_(SSL_CTX_new(TLS_method())) {
    const Owned<EVP_PKEY> key = make_key();
    const Owned<X509> certificate = make_certificate(key.get());
    REQUIRE(SSL_CTX_use_certificate(context_.get(), certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context_.get(), key.get()) == 1);
    client_ = make_side();
    server_ = make_side();
    SSL_set_connect_state(client_.get());
    SSL_set_accept_state(server_.get());
  }

  // One step of both sides; true when both are done.
  bool step() {
    const int client = SSL_do_handshake(client_.get());
    carry(client_.get(), server_.get());
    const int server = SSL_do_handshake(server_.get());
    carry(server_.get(), client_.get());
    return client == 1 && server == 1;
  }

  // What the server reads after the client wrote `text`.
  std::string send(const std::string& text) {
    REQUIRE(SSL_write(client_.get(), text.data(), static_cast<int>(text.size())) ==
            static_cast<int>(text.size()));
    while (carry(client_.get(), server_.get())) {
    }
    std::array<char, 4096> got{};
    const int count = SSL_read(server_.get(), got.data(), static_cast<int>(got.size()));
    return count > 0 ? std::string(got.data(), static_cast<std::size_t>(count)) : std::string();
  }

 private:
  Owned<SSL> make_side() {
    Owned<SSL> side(SSL_new(context_.get()));
    SSL_set_bio(side.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    return side;
  }

  Owned<SSL_CTX> context_;
  Owned<SSL> client_;
  Owned<SSL> server_;
};

constexpr int kHandshakeStepsMax = 10;

TEST_CASE("the library within the seal is OpenSSL and ours is BoringSSL") {
  const DkimSelfTest test = run_dkim_self_test();
  CHECK(test.libraries.find("OpenDKIM 2.") == 0);
  CHECK(test.libraries.find("over OpenSSL 3.") != std::string::npos);
  CHECK(std::string(OpenSSL_version(OPENSSL_VERSION)) == "BoringSSL");
}

TEST_CASE("OpenDKIM signs and verifies within the seal") {
  const DkimSelfTest test = run_dkim_self_test();
  CHECK(test.problem.empty());
  CHECK(test.is_verified);
  CHECK(test.signature.find("a=rsa-sha256") != std::string::npos);
  CHECK(test.signature.find("d=self-test.invalid") != std::string::npos);
}

TEST_CASE("a TLS handshake and DKIM signatures work in one process, interleaved") {
  CHECK(run_dkim_self_test().is_verified);
  TlsPair tls;
  bool is_done = false;
  for (int step = 0; step < kHandshakeStepsMax && !is_done; ++step) {
    is_done = tls.step();
    CHECK(run_dkim_self_test().is_verified);
  }
  REQUIRE(is_done);
  CHECK(tls.send("EHLO relay.example.net\r\n") == "EHLO relay.example.net\r\n");
  CHECK(run_dkim_self_test().is_verified);
}

}  // namespace
}  // namespace rockdove::policy
