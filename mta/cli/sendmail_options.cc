#include "mta/cli/sendmail_options.h"

#include "mta/base/text.h"

namespace rockdove::cli {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kEnvelopeIdOctetsMax = 100;  // RFC 3461 §4.4

// Without a value, with one, or with one only if it stands in the same argument.
constexpr std::string_view kPlain = "GIUcimntvx";
constexpr std::string_view kWithValue = "ABCFLNORVXbefhopr";
constexpr std::string_view kWithAttached = "qd";

Error bad_value(char letter, std::string_view value, std::string_view wanted) {
  return Error(std::string("-") + letter + " wants " + std::string(wanted) + ", not \"" +
               base::printable(value, 40) + "\"");
}

class OptionReader {
 public:
  explicit OptionReader(const std::vector<std::string>& arguments) : arguments_(arguments) {}

  Result<SendmailOptions> read();

 private:
  Result<void> read_letters(std::string_view letters);
  Result<void> read_long(const std::string& argument);
  Result<void> apply(char letter, std::string_view value);
  Result<void> apply_mode(std::string_view value);
  Result<void> apply_queue(std::string_view value);
  Result<void> apply_envelope_id(std::string_view value);

  const std::vector<std::string>& arguments_;
  std::size_t next_ = 0;
  SendmailOptions options_;
};

Result<SendmailOptions> OptionReader::read() {
  bool options_ended = false;
  while (next_ < arguments_.size()) {
    const std::string& argument = arguments_[next_++];
    if (!options_ended && argument == "--") {
      options_ended = true;
    } else if (options_ended || argument.size() < 2 || argument.front() != '-') {
      options_.recipients.push_back(argument);
    } else if (argument.starts_with("--")) {
      if (Result<void> done = read_long(argument); !done) return done.error();
    } else if (Result<void> done = read_letters(std::string_view(argument).substr(1)); !done) {
      return done.error();
    }
  }
  return std::move(options_);
}

Result<void> OptionReader::read_long(const std::string& argument) {
  constexpr std::string_view kConfig = "--config=";
  if (argument == "--help") {
    options_.mode = SendmailOptions::Mode::Help;
  } else if (argument == "--version") {
    options_.mode = SendmailOptions::Mode::Version;
  } else if (argument.starts_with(kConfig)) {
    options_.config = argument.substr(kConfig.size());
  } else if (argument == "--config" && next_ < arguments_.size()) {
    options_.config = arguments_[next_++];
  } else {
    return Error("there is no option " + base::printable(argument, 40));
  }
  return {};
}

// What follows one hyphen: letters, the last of which may have a value behind it, in this argument
// or the next (POSIX, XBD 12.2).
Result<void> OptionReader::read_letters(std::string_view letters) {
  while (!letters.empty()) {
    const char letter = letters.front();
    letters.remove_prefix(1);
    if (kPlain.find(letter) != std::string_view::npos) {
      if (Result<void> done = apply(letter, ""); !done) return done;
      continue;
    }
    if (kWithAttached.find(letter) != std::string_view::npos) return apply(letter, letters);
    if (kWithValue.find(letter) == std::string_view::npos)
      return Error("there is no option -" + base::printable(std::string_view(&letter, 1)));
    if (!letters.empty()) return apply(letter, letters);
    if (next_ == arguments_.size()) return Error(std::string("-") + letter + " wants a value");
    return apply(letter, arguments_[next_++]);
  }
  return {};
}

Result<void> OptionReader::apply(char letter, std::string_view value) {
  switch (letter) {
    case 'B':
      if (!base::equals_ignoring_case(value, "7BIT") &&
          !base::equals_ignoring_case(value, "8BITMIME"))
        return bad_value(letter, value, "7BIT or 8BITMIME");
      return {};  // what the message is, it shows itself
    case 'F':
      options_.full_name = value;
      return {};
    case 'I':
      options_.mode = SendmailOptions::Mode::Aliases;
      return {};
    case 'N':
      if (const auto notify = mail::parse_notify(value)) {
        options_.notify = *notify;
        return {};
      }
      return bad_value(letter, value, "never, or a list of success, failure and delay");
    case 'R':
      if (base::equals_ignoring_case(value, "full")) {
        options_.returned = mail::ReturnContent::Full;
      } else if (base::equals_ignoring_case(value, "hdrs")) {
        options_.returned = mail::ReturnContent::Headers;
      } else {
        return bad_value(letter, value, "full or hdrs");
      }
      return {};
    case 'V':
      return apply_envelope_id(value);
    case 'b':
      return apply_mode(value);
    case 'f':
    case 'r':
      options_.sender = std::string(value);
      return {};
    case 'i':
      options_.dot_is_text = true;
      return {};
    case 'o':
      if (value == "i") options_.dot_is_text = true;
      return {};
    case 'q':
      return apply_queue(value);
    case 't':
      options_.extract = true;
      return {};
    case 'v':
      options_.verbose = true;
      return {};
    default:
      return {};  // settings of Sendmail's that have no counterpart
  }
}

Result<void> OptionReader::apply_envelope_id(std::string_view value) {
  for (const char c : value) {
    if (c < 32 || c > 126) return bad_value('V', value, "printable ASCII");
  }
  if (value.empty() || mail::encode_xtext(value).size() > kEnvelopeIdOctetsMax)
    return bad_value('V', value, "up to 100 characters");
  options_.envelope_id = value;
  return {};
}

Result<void> OptionReader::apply_mode(std::string_view value) {
  using Mode = SendmailOptions::Mode;
  switch (value.size() == 1 ? value.front() : '\0') {
    case 'm':
    case 'a':
      options_.mode = Mode::Deliver;
      return {};
    case 's':
      options_.mode = Mode::Speak;
      return {};
    case 'p':
      options_.mode = Mode::ListQueue;
      return {};
    case 'v':
      options_.mode = Mode::Verify;
      return {};
    case 'i':
      options_.mode = Mode::Aliases;
      return {};
    case 'd':
    case 'D':
    case 'l':
      return Error("the daemon is no business of sendmail's: start it with `rockdove serve`");
    default:
      return bad_value('b', value, "m, s, p, v or i");
  }
}

Result<void> OptionReader::apply_queue(std::string_view value) {
  if (!value.empty() && value.front() >= '0' && value.front() <= '9')
    return Error("the relay tries again by itself, as `queue.retry` of its configuration says");
  if (!value.empty() && value != "f")
    return Error("-q" + base::printable(value, 40) +
                 " is not known here; `rockdove queue retry` takes any filter");
  options_.mode = SendmailOptions::Mode::FlushQueue;
  return {};
}

}  // namespace

Result<SendmailOptions> parse_sendmail_options(const std::vector<std::string>& arguments) {
  return OptionReader(arguments).read();
}

std::string_view sendmail_help() {
  return "Usage: sendmail [OPTION]... [RECIPIENT]... < MESSAGE\n"
         "Hands a message to Rockdove, with the options of Sendmail and Postfix.\n"
         "\n"
         "  -t             recipients from To, Cc and Bcc (or from Resent-*), too\n"
         "  -i, -oi        a line with nothing but a dot does not end the message\n"
         "  -f, -r ADDRESS the envelope's sender; <> is nobody. Default: you, at this machine\n"
         "  -F NAME        your name, for a From field that is missing\n"
         "  -N WHEN        reports you want: never, or a list of success, failure, delay\n"
         "  -R WHAT        what comes back with a report: full or hdrs\n"
         "  -V ID          what reports call this message (ENVID)\n"
         "  -B TYPE        7BIT or 8BITMIME; the message shows it by itself\n"
         "  -v             print the dialogue with the relay on standard error\n"
         "  -bm            take a message (the default)\n"
         "  -bs            speak SMTP on standard input and output\n"
         "  -bv            say for each recipient whether the relay would take it; sends nothing\n"
         "  -bp            list the queue, as mailq does\n"
         "  -q             try everything in the queue again\n"
         "  -bi            nothing: aliases are read by the relay itself\n"
         "  --config FILE  the configuration; default: $ROCKDOVE_CONFIG, else\n"
         "                 /etc/rockdove/rockdove.toml\n"
         "  --version\n"
         "Taken, and without a meaning here: -A -C -G -L -O -U -X -c -d -e -h -m -n -o -p -x.\n"
         "\n"
         "Exit status, as in sysexits.h: 0 taken; 64 wrong usage; 65 an address or the message is\n"
         "bad; 67 a recipient was refused; 69 the message was refused, or what was asked for is "
         "not\n"
         "to be had; 74 reading failed; 75 it could neither be handed over nor left for later; 77\n"
         "you may not send mail.\n";
}

}  // namespace rockdove::cli
