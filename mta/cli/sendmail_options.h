// The options of Postfix's and Sendmail's command `sendmail`, as scripts and mail programs give
// them. Many mean nothing here and are taken all the same; one that nobody knows is an error. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/mail/dsn.h"

namespace rockdove::cli {

struct SendmailOptions {
  enum class Mode : std::uint8_t {
    Deliver,     // -bm: a message on standard input
    Speak,       // -bs: SMTP on standard input and output
    ListQueue,   // -bp
    FlushQueue,  // -q
    Verify,      // -bv: would these recipients be taken?
    Aliases,     // -bi, -I: nothing is to be done
    Help,
    Version,
  };

  Mode mode = Mode::Deliver;
  bool extract = false;               // -t: recipients from the header, too
  bool dot_is_text = false;           // -i, -oi: a line with one dot does not end the message
  bool verbose = false;               // -v: the dialogue on standard error
  std::optional<std::string> sender;  // -f, -r: as given; "" and "<>" are the null sender
  std::string full_name;              // -F
  mail::NotifySet notify{};           // -N
  mail::ReturnContent returned = mail::ReturnContent::Unset;  // -R
  std::string envelope_id;                                    // -V
  std::vector<std::string> recipients;                        // lists of addresses, as given
  std::string config;                                         // --config
};

// Arguments without the command's name. The error is one of usage.
[[nodiscard]] base::Result<SendmailOptions> parse_sendmail_options(
    const std::vector<std::string>& arguments);

[[nodiscard]] std::string_view sendmail_help();

}  // namespace rockdove::cli
