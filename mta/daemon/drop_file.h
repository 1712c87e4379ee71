// A message that `sendmail` leaves in STATE_DIR/incoming while nobody answers at submit.sock: its
// envelope as the lines of SMTP that would have said it, then the content. Text in, values out.
//
//   Rockdove sendmail 1
//   MAIL FROM:<www-data> BODY=8BITMIME
//   RCPT TO:<bob@example.net> NOTIFY=FAILURE
//   DATA
//   … the content to the end of the file, with CRLF line ends, not stuffed
//
// The name of a file is 128 random bits as 32 hexadecimal digits. It is complete when its owner may
// execute it, and readable for all, because the daemon is another user: nobody can list the folder.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/inbound/reception.h"
#include "mta/smtp/outgoing.h"

namespace rockdove::daemon {

inline constexpr std::size_t kDropRecipientsMax = inbound::kFileRecipientsMax;
inline constexpr std::size_t kDropEnvelopeOctetsMax = 4 * 1024 * 1024;

[[nodiscard]] std::string drop_folder_path(const std::string& state_dir);

[[nodiscard]] std::string make_drop_name();
[[nodiscard]] bool is_drop_name(std::string_view name);

// All that stands before the content.
[[nodiscard]] std::string format_drop_envelope(const smtp::OutgoingMessage& envelope);

struct DropEnvelope {
  smtp::OutgoingMessage envelope;  // `octets` is left 0
  std::size_t octets = 0;          // of its lines: where the content begins
};

// Of the first octets of a file, which has_drop_envelope().
[[nodiscard]] base::Result<DropEnvelope> parse_drop_envelope(std::string_view octets);

// The line before the content is within `octets`.
[[nodiscard]] bool has_drop_envelope(std::string_view octets);

}  // namespace rockdove::daemon
