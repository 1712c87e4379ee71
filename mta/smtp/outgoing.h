// A message on its way out, as a client session is told about it and tells about it: the envelope
// (RFC 5321, RFC 3461), and what each recipient came to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/mail/dsn.h"
#include "mta/smtp/reply.h"

namespace rockdove::smtp {

// How far a transaction goes.
enum class Extent : std::uint8_t {
  Message,
  // MAIL and RCPT, to learn whether the peer knows its recipients; nothing is sent to them.
  RecipientsOnly,
};

struct OutgoingRecipient {
  std::string address;  // without <>
  mail::NotifySet notify{};
  std::string original{};  // ORCPT, decoded: "rfc822;bob@x.example"; "" for none
};

struct OutgoingMessage {
  std::string sender;                         // without <>; empty: the null sender
  std::vector<OutgoingRecipient> recipients;  // at least one
  std::uint64_t octets = 0;                   // of the content, for SIZE=
  bool eight_bit = false;                     // it has octets above 127
  Extent extent = Extent::Message;
  bool smtputf8 = false;      // an address or the header has UTF-8 (RFC 6531)
  std::string envelope_id{};  // ENVID, decoded; "" for none
  mail::ReturnContent returned = mail::ReturnContent::Unset;
  int priority = 0;  // MT-PRIORITY (RFC 6710), -9 to 9
  // The header block, and the whole of what follows it, if they are at hand; only looked at within
  // start().
  std::string_view header{};
  std::optional<std::string_view> body{};
};

struct RecipientResult {
  Stage stage = Stage::Mail;  // where it was decided, or how far it had come
  // The reply that decided it. is_none(): nothing did.
  Reply reply;
  // It was not offered: the peer's LIMITS leave it for the next transaction, whatever became of
  // this one. The reply is ours, 452 4.5.3.
  bool is_postponed = false;
};

}  // namespace rockdove::smtp
