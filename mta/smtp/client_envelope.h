// What a transaction with one peer will say, decided before its first word: whether the peer can
// take the message at all, which of its recipients are offered, in which form the content goes, and
// the lines of MAIL and RCPT with the parameters that the peer knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mta/mail/seven_bit.h"
#include "mta/smtp/outgoing.h"
#include "mta/smtp/peer_capabilities.h"

namespace rockdove::smtp {

enum class ContentForm : std::uint8_t {
  Data,      // DATA, stuffed, final dot
  Chunks,    // BDAT (RFC 3030)
  SevenBit,  // re-encoded (mail/seven_bit.h), then as Data
};

struct EnvelopePlan {
  // Of the whole message, by us: nothing is said to the peer.
  std::optional<Reply> refusal;
  ContentForm form = ContentForm::Data;
  bool smtputf8 = false;  // the parameter is said
  // Places of the recipients that are offered; empty: all, unless is_partial.
  bool is_partial = false;
  std::vector<std::uint32_t> offered;
  // Beyond what the peer takes in one transaction (RFC 9422).
  std::vector<std::uint32_t> postponed;
  // Recipients that this peer cannot be told about; the reply is ours.
  std::vector<std::uint32_t> refused;
  // Set: it goes instead of the message, because addresses had to be written otherwise. Of all
  // recipients, in the same places.
  std::optional<OutgoingMessage> rewritten;
};

// From this size on, where it has more parts than one, content goes in chunks to peers that
// pipeline: the first part goes along with the envelope, which saves a round trip. To peers that do
// not pipeline it always does, because it saves that of DATA. What stuffing costs besides is next
// to nothing: 256 KiB take 28 us by DATA and 11 us by BDAT.
inline constexpr std::uint64_t kChunkedOctetsMin = 256 * 1024;

[[nodiscard]] EnvelopePlan plan_envelope(const OutgoingMessage& message,
                                         const PeerCapabilities& peer);

// 554 5.6.3, for a message with 8-bit text towards a peer without 8BITMIME.
[[nodiscard]] Reply cannot_be_seven_bit(const PeerCapabilities& peer,
                                        mail::SevenBitProblem problem);
// Of EnvelopePlan::refused.
[[nodiscard]] Reply not_without_smtputf8(const PeerCapabilities& peer);
// Of EnvelopePlan::postponed: 452 4.5.3.
[[nodiscard]] Reply beyond_limits(const PeerCapabilities& peer);

// With CRLF.
void append_mail(std::string& wire, const OutgoingMessage& message, const EnvelopePlan& plan,
                 const PeerCapabilities& peer);
void append_rcpt(std::string& wire, const OutgoingRecipient& recipient,
                 const PeerCapabilities& peer);

}  // namespace rockdove::smtp
