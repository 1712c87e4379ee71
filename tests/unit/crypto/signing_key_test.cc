// The keys and the RSA signature were made with OpenSSL; the Ed25519 ones are test 1 of RFC 8032
// §7.1.
#include "mta/crypto/signing_key.h"

#include <catch2/catch.hpp>

#include "mta/base/base64.h"

namespace rockdove::crypto {
namespace {

constexpr std::string_view kRsa1024 =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICWwIBAAKBgQDFk8nccFUi1GqDWJl3UJYZLz6y+PUeNVRHuegbcATIztLmFEU3\n"
    "ZYyt8ZWFPd4G3O+CAxKX7v8AxAjcHN+8Ax8oYbdVOCcLkoe3Us5hQMAJhXgi5Bp8\n"
    "JxYDGLK4fakrOE3AILO/TPxtG2D130GToQKDnzAXfA2UnJ6OPL7jRliNKQIDAQAB\n"
    "AoGALkUyHQHhrkp4t1HkfuDMhhFeaaOMJArxNer/xI0zUaO+GEve+d46V/Ifxhh7\n"
    "CrhrDtORYyuBZLiEKqhIbUt93BkeARKuq9f+mfnf2i55yOVf9Pb23TH30CmvoDqI\n"
    "XkpZ3PlLRc7kmXaIbtIJ86FFHnl+e/Uxo+vdItyNgLDd8EECQQD8OHTWP+TAwwrX\n"
    "J3EHNezMFSC3UjZ7UcH4KwJndbB7PuGtecdFlAz9KdAaw23DU8E3IShu+FNOhkP6\n"
    "wkYPDP3lAkEAyIm3EnHziO/w/spujSOCWdTKrtHxl2aLsZSOWmCzeIkK1Qg2LLrm\n"
    "kiQcL38wBSrtZYHMoSwN6BBwQmGJ9iI99QJAGexzldHbYTSq2JJlO6h/Pjqtsinx\n"
    "D5vHpApHpPqjuQctivcJVE1zSFIT4axUi87//PqbfUxow5lpQ0zUhpd/QQJANmof\n"
    "8fJXqcWpuAlH3CZRfXyfDrbK/lEGAMaVpfJtYHyXIt0ajiKc4/TGbSDu78gJKK0C\n"
    "0Iz6rQig3XJIFDCQbQJAL5f54dv9dQRhGw9m8+WEkK/Qgzjya8uCy+u0dd80UdTj\n"
    "N8TmwPo87ZQqptl3xvvic6YUogwFmYFATszRVM1plA==\n"
    "-----END RSA PRIVATE KEY-----\n";
constexpr std::string_view kRsa1024Info =
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDFk8nccFUi1GqDWJl3UJYZLz6y+PUeNVRHuegbcATIztLmFEU3"
    "ZYyt8ZWFPd4G3O+CAxKX7v8AxAjcHN+8Ax8oYbdVOCcLkoe3Us5hQMAJhXgi5Bp8JxYDGLK4fakrOE3AILO/TPxt"
    "G2D130GToQKDnzAXfA2UnJ6OPL7jRliNKQIDAQAB";
constexpr std::string_view kRsa1024Bare =
    "MIGJAoGBAMWTydxwVSLUaoNYmXdQlhkvPrL49R41VEe56BtwBMjO0uYURTdljK3xlYU93gbc74IDEpfu/wDECNwc"
    "37wDHyhht1U4JwuSh7dSzmFAwAmFeCLkGnwnFgMYsrh9qSs4TcAgs79M/G0bYPXfQZOhAoOfMBd8DZScno48vuNG"
    "WI0pAgMBAAE=";
constexpr std::string_view kRsa512 =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIBOQIBAAJBALakk/REupoc5VjonnQ84I4qodbHte45k/sCY0AX4Hm5kb5sG0Zo\n"
    "cAC8qIuQynYqUFAq0VMsDbOOiZfyos7oku8CAwEAAQJAag3g19s825Zh2qGguPBM\n"
    "mGDK/vOSgdUvR3bYePQkZalPENg4s15hsw/OtIU8ukirbFa2/JdKk2W5gXGfGM83\n"
    "iQIhAOXL9gEmHWAMJW+8y0ADNVn1AxWdKQBt/Dz+hpXfNTNtAiEAy3gj9CXNWjn2\n"
    "xL/dYUhKePgxG8/2ldxrBus3UeEpSksCIC/dizF0EfxWq1mZ9rAvuuYw/eJ7qPW4\n"
    "8yh1T+1Z4AgFAiBxMglujolMJOswUj1rHbiwzAMmIfBhNxsj4kAIgWdjOQIgFgbv\n"
    "yOYQNf9wax0gxl6IcO50aNykvDZ6dXrovOdJE2I=\n"
    "-----END RSA PRIVATE KEY-----\n";
constexpr std::string_view kRsa512Info =
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALakk/REupoc5VjonnQ84I4qodbHte45k/sCY0AX4Hm5kb5sG0ZocAC8"
    "qIuQynYqUFAq0VMsDbOOiZfyos7oku8CAwEAAQ==";
constexpr std::string_view kP256Info =
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEts6X5DTCjJYC0nGRVee4p6qDkSOgPZzJabIu1stEVxxe4nC2Pax+"
    "N/rEqSHzSGCmvuJ97Y2z2clvNU19WCZ2wQ==";
// "abc", signed with kRsa1024.
constexpr std::string_view kAbcSignature =
    "CAga5OiaU1W2eP+MP5JAcS6oBhjLsle1wnaKm7Y5C5En8cwCrnWahgBYQ0OdHOHhMLyOZ+iF5ABsmPw7RdM5VjxfXmZT"
    "TMcWy6Rb5JAwTLhVUpgF906a6IiWzrT/MVe9gxNfRHejI1CPBZrdBeB+e7+4pR0WVlvn9N4Xot1qa2M=";

std::string octets(std::string_view base64) {
  const auto decoded = base::decode_base64(base64);
  REQUIRE(decoded);
  return *decoded;
}

TEST_CASE("an RSA signature of OpenSSL's verifies, and ours is the same") {
  const auto key = PrivateKey::from_pem(kRsa1024);
  REQUIRE(key);
  CHECK(key->kind() == KeyKind::Rsa);
  CHECK(key->bits() == 1024);
  const Digest digest = sha256("abc");
  CHECK(base::encode_base64(key->sign(digest)) == kAbcSignature);
  CHECK(base::encode_base64(key->public_octets()) == kRsa1024Info);
  for (const std::string_view form : {kRsa1024Info, kRsa1024Bare}) {
    const auto shown = PublicKey::from_rsa(octets(form));
    REQUIRE(shown);
    CHECK(shown->bits() == 1024);
    CHECK(base::encode_base64(shown->octets()) == kRsa1024Info);
    CHECK(shown->has_signed(digest, octets(kAbcSignature)));
    CHECK_FALSE(shown->has_signed(sha256("abd"), octets(kAbcSignature)));
    CHECK_FALSE(shown->has_signed(digest, octets(kAbcSignature).substr(1)));
    CHECK_FALSE(shown->has_signed(digest, ""));
  }
}

TEST_CASE("RSA keys under 1,024 bits are refused, private and public") {
  const auto secret = PrivateKey::from_pem(kRsa512);
  REQUIRE_FALSE(secret);
  CHECK(secret.error().text() == "an RSA key of 512 bits is too short");
  const auto shown = PublicKey::from_rsa(octets(kRsa512Info));
  REQUIRE_FALSE(shown);
  CHECK(shown.error().text() == "an RSA key of 512 bits is too short");
}

TEST_CASE("what is no RSA key is refused as one") {
  CHECK_FALSE(PublicKey::from_rsa(""));
  CHECK_FALSE(PublicKey::from_rsa("abc"));
  CHECK_FALSE(PublicKey::from_rsa(octets(kRsa1024Info) + "x"));
  CHECK_FALSE(PublicKey::from_rsa(octets(kRsa1024Bare) + "x"));
  const auto curve = PublicKey::from_rsa(octets(kP256Info));
  REQUIRE_FALSE(curve);
  CHECK(curve.error().text() == "it is no RSA key");
}

TEST_CASE("PEM without a key that can be used is refused") {
  CHECK_FALSE(PrivateKey::from_pem(""));
  CHECK_FALSE(PrivateKey::from_pem(kRsa1024.substr(0, 200)));
  CHECK_FALSE(PrivateKey::from_pem(std::string(kPrivateKeyOctetsMax + 1, 'x')));
  std::string encrypted(kRsa1024);
  encrypted.insert(
      encrypted.find('\n') + 1,
      "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,6370D5F5E58C7A9E1737CEADD6C79E85\n\n");
  CHECK_FALSE(PrivateKey::from_pem(encrypted));
}

TEST_CASE("a new RSA key has 2,048 bits and survives PEM") {
  const PrivateKey key = PrivateKey::make(KeyKind::Rsa);
  CHECK(key.bits() == 2048);
  const auto again = PrivateKey::from_pem(key.to_pem());
  REQUIRE(again);
  const Digest digest = sha256("x");
  CHECK(again->sign(digest) == key.sign(digest));
  const auto shown = PublicKey::from_rsa(key.public_octets());
  REQUIRE(shown);
  CHECK(shown->has_signed(digest, key.sign(digest)));
}

TEST_CASE("an Ed25519 key is read from PEM and signs what its public key verifies") {
  // PKCS #8 around the secret of RFC 8032 §7.1, test 1.
  const auto key = PrivateKey::from_pem(
      "-----BEGIN PRIVATE KEY-----\n"
      "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
      "-----END PRIVATE KEY-----\n");
  REQUIRE(key);
  CHECK(key->kind() == KeyKind::Ed25519);
  CHECK(base::encode_base64(key->public_octets()) ==
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  const Digest digest = sha256("abc");
  const std::string signature = key->sign(digest);
  CHECK(signature.size() == 64);
  const auto shown = PublicKey::from_ed25519(key->public_octets());
  REQUIRE(shown);
  CHECK(shown->has_signed(digest, signature));
  CHECK_FALSE(shown->has_signed(sha256("abd"), signature));
  CHECK_FALSE(shown->has_signed(digest, signature.substr(1)));
  CHECK_FALSE(PublicKey::from_ed25519(key->public_octets() + "x"));
  CHECK_FALSE(PublicKey::from_ed25519(""));
}

TEST_CASE("new Ed25519 keys differ and survive PEM") {
  const PrivateKey a = PrivateKey::make(KeyKind::Ed25519);
  const PrivateKey b = PrivateKey::make(KeyKind::Ed25519);
  CHECK(a.public_octets() != b.public_octets());
  const auto again = PrivateKey::from_pem(a.to_pem());
  REQUIRE(again);
  CHECK(again->public_octets() == a.public_octets());
}

}  // namespace
}  // namespace rockdove::crypto
