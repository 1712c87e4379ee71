// How `sendmail` gets rid of a message: to the relay at submit.sock, or, while nobody answers
// there, into the folder that the relay looks through. Waits for both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/result.h"
#include "mta/smtp/outgoing.h"
#include "mta/smtp/reply.h"

namespace rockdove::cli {

struct HandoverPaths {
  std::string socket;  // submit.sock
  std::string folder;  // STATE_DIR/incoming
};

enum class ShowDialogue : std::uint8_t { No, Yes };  // on standard error

struct RefusedRecipient {
  std::string address;
  smtp::Reply reply;
};

// What became of one message with all its recipients.
struct Handover {
  std::vector<RefusedRecipient> refused;  // for good; the others have it
  std::optional<smtp::Reply> refusal;     // of the whole message, or of this user: nobody has it
  std::optional<base::Error> failure;     // it could neither be handed over nor left
  // Taken by the relay, or left for it; only with `failure` there may be others.
  std::size_t handed_over = 0;  // recipients
  std::size_t left = 0;         // likewise
};

// `envelope` as a session wants it, but for `octets`; of any number of recipients. What the relay
// cannot take at the moment is left in the folder. A message of which nobody knows whether the
// relay took it is left, too: twice is better than never.
[[nodiscard]] Handover hand_over(const HandoverPaths& paths, smtp::OutgoingMessage envelope,
                                 const std::string& content, ShowDialogue show);

// One reply for each recipient, is_none() where there was none: whether the relay would take it.
// The error says why the relay could not be asked.
[[nodiscard]] base::Result<std::vector<smtp::Reply>> verify(const HandoverPaths& paths,
                                                            smtp::OutgoingMessage envelope,
                                                            ShowDialogue show);

// Standard input to the socket, and what comes back to standard output, until the relay ends it.
// The error: the socket cannot be reached, or the connection broke.
[[nodiscard]] base::Result<void> join_standard_streams(const std::string& socket);

// Writes the whole file, so that it survives a power cut, or leaves nothing. The error says what
// failed and where.
[[nodiscard]] base::Result<void> leave_mail(const std::string& folder,
                                            const smtp::OutgoingMessage& envelope,
                                            std::string_view content);

}  // namespace rockdove::cli
