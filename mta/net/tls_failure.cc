#include "mta/net/tls_failure.h"

#include <algorithm>
#include <array>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "mta/base/text.h"

namespace rockdove::net {

namespace {

constexpr std::size_t kSpokenOctetsShown = 40;

std::string version_text(std::uint16_t version) {
  switch (version) {
    case 0x0002:
      return "SSLv2";
    case SSL3_VERSION:
      return "SSLv3";
    case TLS1_VERSION:
      return std::string(tls_version_name(TlsVersion::V1_0));
    case TLS1_1_VERSION:
      return std::string(tls_version_name(TlsVersion::V1_1));
    case TLS1_2_VERSION:
      return std::string(tls_version_name(TlsVersion::V1_2));
    case TLS1_3_VERSION:
      return std::string(tls_version_name(TlsVersion::V1_3));
    default:
      return "an unknown version";
  }
}

// The kinds of cipher suites that BoringSSL has not, and what they are called
// (https://www.iana.org/assignments/tls-parameters).
struct Kind {
  std::string_view name;
  std::array<std::uint16_t, 20> suites;
};

constexpr std::array<Kind, 6> kKinds{{
    {"export",
     {0x0003, 0x0006, 0x0008, 0x000B, 0x000E, 0x0011, 0x0014, 0x0017, 0x0019, 0x0062, 0x0064}},
    {"RC4", {0x0004, 0x0005, 0x0018, 0xC002, 0xC007, 0xC00C, 0xC011, 0xC016}},
    {"DES", {0x0009, 0x000C, 0x000F, 0x0012, 0x0015, 0x001A}},
    {"DHE",
     {0x0013, 0x0016, 0x0032, 0x0033, 0x0038, 0x0039, 0x0040, 0x0067, 0x006A, 0x006B, 0x009E,
      0x009F, 0x00A2, 0x00A3, 0xCCAA, 0x0044, 0x0045, 0x0087, 0x0088}},
    {"RSA key exchange", {0x000A, 0x002F, 0x0035, 0x003C, 0x003D, 0x009C, 0x009D, 0x0041, 0x0084}},
    {"ECDHE",
     {0xC008, 0xC009, 0xC00A, 0xC012, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028, 0xC02B,
      0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9}},
}};

// Signals in the list of ciphers that are no ciphers (RFC 5746 §3.3, RFC 7507 §2).
bool is_signal(std::uint16_t suite) {
  return suite == 0x00FF || suite == 0x5600;
}

std::string kinds_offered(const std::vector<std::uint16_t>& suites) {
  std::string text;
  const auto add = [&text](std::string_view name) {
    if (!text.empty()) text += ", ";
    text += name;
  };
  for (const Kind& kind : kKinds) {
    const bool is_offered = std::any_of(suites.begin(), suites.end(), [&kind](std::uint16_t suite) {
      return suite != 0 &&
             std::find(kind.suites.begin(), kind.suites.end(), suite) != kind.suites.end();
    });
    if (is_offered) add(kind.name);
  }
  const std::size_t others =
      static_cast<std::size_t>(std::count_if(suites.begin(), suites.end(), [](std::uint16_t suite) {
        if (is_signal(suite)) return false;
        return std::none_of(kKinds.begin(), kKinds.end(), [suite](const Kind& kind) {
          return suite != 0 &&
                 std::find(kind.suites.begin(), kind.suites.end(), suite) != kind.suites.end();
        });
      }));
  if (others > 0) add(std::to_string(others) + (text.empty() ? " unknown" : " more"));
  return text.empty() ? "none" : text;
}

// What the peer said by an alert (RFC 8446 §6).
std::string alert_text(int alert, const TlsTrouble& trouble) {
  const std::string name = SSL_alert_desc_string_long(alert);
  std::string code = base::lower_case(name);
  std::replace(code.begin(), code.end(), ' ', '_');
  const std::string quoted = " (alert " + code + ")";
  switch (alert) {
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
      return trouble.we_are_server ? "the peer does not trust our certificate" + quoted
                                   : "the peer wants a certificate of ours" + quoted;
    case SSL_AD_CERTIFICATE_EXPIRED:
      return "the peer says that our certificate has expired" + quoted;
    case SSL_AD_CERTIFICATE_REQUIRED:
      return "the peer wants a certificate of ours" + quoted;
    case SSL_AD_PROTOCOL_VERSION:
      return "the peer does not speak a version of TLS that is offered here, " +
             std::string(tls_version_name(trouble.least)) + " or higher" + quoted;
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_INSUFFICIENT_SECURITY:
      return trouble.we_are_server
                 ? "the peer gave the handshake up" + quoted
                 : "the peer found no version or cipher in what is offered here, " +
                       std::string(tls_version_name(trouble.least)) + " or higher" + quoted;
    case SSL_AD_UNRECOGNIZED_NAME:
      return "the peer has no certificate for the name that it was asked for" + quoted;
    default:
      return "the peer gave up" + quoted;
  }
}

bool is_text(std::string_view octets) {
  return octets.size() >= 3 && std::all_of(octets.begin(), octets.end(), [](char c) {
           const auto octet = static_cast<unsigned char>(c);
           return octet == '\r' || octet == '\n' || octet == '\t' || (octet >= 32 && octet < 127);
         });
}

std::string spoken(std::string_view octets) {
  const std::string_view line = octets.substr(0, octets.find_first_of("\r\n"));
  return "\"" + base::printable(line, kSpokenOctetsShown) + "\"";
}

}  // namespace

std::string describe_tls_trouble(const TlsTrouble& trouble) {
  if (!trouble.was_open && is_text(trouble.first_octets)) {
    return "the peer spoke clear text: " + spoken(trouble.first_octets);
  }
  const int reason = ERR_GET_LIB(trouble.error) == ERR_LIB_SSL ? ERR_GET_REASON(trouble.error) : 0;
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    return alert_text(reason - SSL_AD_REASON_OFFSET, trouble);
  }
  if (trouble.clear_alert != 0) return alert_text(trouble.clear_alert, trouble);
  const std::string least(tls_version_name(trouble.least));
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_UNKNOWN_SSL_VERSION:
    case SSL_R_INAPPROPRIATE_FALLBACK:
      if (trouble.we_are_server && trouble.offer.version != 0) {
        return "the peer offers only " + version_text(trouble.offer.version) + ", and at least " +
               least + " is asked for here (tls_min)";
      }
      return "the peer does not speak " + least + " or higher, which is asked for here";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_CIPHERS_SPECIFIED:
      return "no cipher in common; the peer offers only " + kinds_offered(trouble.offer.ciphers);
    case SSL_R_NO_SHARED_GROUP:
    case SSL_R_WRONG_CURVE:
      return "no group (curve) for the key exchange in common";
    case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
      return "no signature algorithm in common";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_BAD_PACKET_LENGTH:
      if (!trouble.was_open) return "what the peer sends is not TLS";
      break;
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
      return "a record of the peer was damaged on the way or forged";
    case SSL_R_NO_RENEGOTIATION:
      return "the peer wanted to negotiate again, which is not done here";
    default:
      break;
  }
  const char* text = trouble.error == 0 ? nullptr : ERR_reason_error_string(trouble.error);
  if (text == nullptr) return "the peer broke the protocol";
  std::string words = base::lower_case(text);
  std::replace(words.begin(), words.end(), '_', ' ');
  return "the peer broke the protocol: " + words;
}

}  // namespace rockdove::net
