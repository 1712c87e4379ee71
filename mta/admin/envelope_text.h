// The envelope of a queued message as JSON, whole: all that `queue import` needs to put the message
// back as it was. Beside it, in a file of its own or on the control socket, stands the content: the
// header block and the body, octet by octet as they are queued. contrib/doc/rescue.md has the keys.
//
// Reading trusts nothing: what a person edited, or a stranger made, is checked as narrowly as what
// comes by SMTP, and an error names the key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "queue/restore.h"

namespace rockdove::admin {

inline constexpr std::size_t kEnvelopeOctetsMax = 64 * 1024 * 1024;
// What a listener may be set to take, and our own fields in front.
inline constexpr std::uint64_t kContentOctetsMax = 2'001'000'000;
inline constexpr std::size_t kEnvelopeDeliveriesMax = 100'000;

struct Envelope {
  queue::StoredMessage stored;  // without header block and body, but with their lengths
  std::string sha256;           // of the content, 64 hexadecimal digits; "": not known
};

enum class Layout : std::uint8_t { Line, Page };

// A Line has no line end in it and none behind it; a Page is for people.
[[nodiscard]] std::string format_envelope(const Envelope& envelope, Layout layout);
[[nodiscard]] base::Result<Envelope> parse_envelope(std::string_view json);

}  // namespace rockdove::admin
