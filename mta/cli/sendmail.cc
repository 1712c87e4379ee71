#include "mta/cli/sendmail.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <pwd.h>
#include <set>
#include <sysexits.h>
#include <unistd.h>
#include <utility>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/cli/commands.h"
#include "mta/cli/postfix_names.h"
#include "mta/cli/sendmail_handover.h"
#include "mta/cli/sendmail_message.h"
#include "mta/cli/sendmail_options.h"
#include "mta/daemon/configuration.h"
#include "mta/daemon/drop_file.h"
#include "mta/daemon/machine_name.h"
#include "mta/mail/address.h"
#include "mta/mail/address_list.h"

namespace rockdove::cli {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kInputOctetsMax = 2'000'000'000;  // as much as a listener can be told to take

int complain(int status, const std::string& text) {
  std::fprintf(stderr, "sendmail: %s\n", text.c_str());
  return status;
}

// Where things are, as far as this user may know it.
struct Surroundings {
  HandoverPaths paths;
  std::string hostname;
};

// Whoever may not read the configuration gets along with what everybody knows.
Surroundings look_around(const std::string& asked_for) {
  const std::string path = daemon::configuration_path(asked_for);
  daemon::Configuration configuration;
  if (::access(path.c_str(), R_OK) == 0) {
    daemon::ParsedConfiguration parsed = daemon::load_configuration_keys(path);
    if (parsed.configuration) configuration = *std::move(parsed.configuration);
  }
  Surroundings here;
  here.paths.socket = configuration.runtime_dir + "/submit.sock";
  here.paths.folder = daemon::drop_folder_path(configuration.state_dir);
  here.hostname = configuration.hostname;
  if (here.hostname.empty()) here.hostname = base::lower_case(daemon::machine_name());
  if (!mail::is_valid_domain(here.hostname)) here.hostname = "localhost";
  return here;
}

struct Person {
  std::string login;  // fit for an address
  std::string full_name;
};

// From the password file; containers have users without an entry.
Person who_am_i() {
  Person person;
  const passwd* entry = ::getpwuid(::getuid());
  if (entry != nullptr && entry->pw_name != nullptr &&
      mail::parse_mailbox_or_local_part(entry->pw_name)) {
    person.login = entry->pw_name;
  } else {
    person.login = "uid" + std::to_string(::getuid());
  }
  if (entry == nullptr || entry->pw_gecos == nullptr) return person;
  // finger(1): up to the first comma, and "&" is the login name with a capital letter.
  for (const char c : std::string_view(entry->pw_gecos)) {
    if (c == ',') break;
    if (c != '&') {
      person.full_name += c;
      continue;
    }
    std::string capital = person.login;
    if (capital.front() >= 'a' && capital.front() <= 'z') capital.front() -= 'a' - 'A';
    person.full_name += capital;
  }
  return person;
}

Result<std::string> read_standard_input() {
  std::string text;
  std::array<char, 65536> part{};
  while (text.size() <= kInputOctetsMax) {
    const ssize_t count = ::read(STDIN_FILENO, part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::system("reading the message", errno);
    if (count == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(count));
  }
  return Error("the message is larger than 2 GB");
}

// -f. Nothing: the null sender.
Result<mail::Address> parse_sender(const std::string& text) {
  const std::string_view given = base::trimmed(text);
  if (given.empty() || given == "<>") return mail::Address{};
  Result<std::vector<mail::Address>> list = mail::parse_address_list(given, 2);
  if (!list) return list.error().in("-f");
  if (list->size() != 1)
    return Error("\"" + base::printable(text, 80) + "\" is not one address").in("-f");
  return std::move(list->front());
}

Result<std::vector<mail::Address>> parse_recipients(const std::vector<std::string>& given) {
  std::vector<mail::Address> recipients;
  for (const std::string& text : given) {
    Result<std::vector<mail::Address>> list =
        mail::parse_address_list(text, kSendmailRecipientsMax - recipients.size());
    if (!list) return list.error();
    std::move(list->begin(), list->end(), std::back_inserter(recipients));
  }
  return recipients;
}

smtp::OutgoingMessage make_envelope(const SendmailOptions& options, const mail::Address& sender,
                                    const std::vector<mail::Address>& recipients) {
  smtp::OutgoingMessage envelope;
  envelope.sender = mail::format_address(sender);
  envelope.smtputf8 = mail::is_unicode(sender);
  envelope.returned = options.returned;
  envelope.envelope_id = options.envelope_id;
  std::set<mail::Address> known;
  for (const mail::Address& recipient : recipients) {
    if (!known.insert(recipient).second) continue;
    envelope.smtputf8 = envelope.smtputf8 || mail::is_unicode(recipient);
    envelope.recipients.push_back({mail::format_address(recipient), options.notify});
  }
  return envelope;
}

// The From field of a message without one, as Postfix makes it.
std::string own_from(const SendmailOptions& options, mail::Address sender, const Person& person,
                     const std::string& hostname) {
  if (sender.is_null()) sender = {"MAILER-DAEMON", {}};
  if (sender.domain.empty()) sender.domain = hostname;
  const char* name = std::getenv("NAME");
  const std::string& full_name = !options.full_name.empty() ? options.full_name : person.full_name;
  const bool is_from_environment = options.full_name.empty() && name != nullptr && *name != '\0';
  return format_from(is_from_environment ? name : full_name, mail::format_address(sender));
}

std::string list_refused(const std::vector<RefusedRecipient>& refused) {
  std::string text;
  for (const RefusedRecipient& one : refused) {
    if (!text.empty()) text += "\nsendmail: ";
    text += base::printable(one.address, 254) + ": " + smtp::one_line(one.reply);
  }
  return text;
}

int report(const Handover& handover) {
  const std::size_t done = handover.handed_over + handover.left;
  const std::string rest =
      done > 0 ? " (" + std::to_string(done) + " recipients have it already)" : "";
  if (!handover.refused.empty()) {
    const int status = complain(EX_NOUSER, list_refused(handover.refused));
    if (!handover.refusal && !handover.failure) return status;
  }
  if (handover.refusal) {
    const smtp::Reply& reply = *handover.refusal;
    const int subject = reply.enhanced ? static_cast<int>(reply.enhanced->subject) : 0;
    const int status = subject == 6 ? EX_DATAERR : subject == 7 ? EX_NOPERM : EX_UNAVAILABLE;
    return complain(status, "the message was refused" + rest + ": " + smtp::one_line(reply));
  }
  if (handover.failure) {
    return complain(EX_TEMPFAIL,
                    "the relay does not take the message now, and it could not be left for it" +
                        rest + ": " + handover.failure->text());
  }
  return EX_OK;
}

int deliver(const SendmailOptions& options) {
  const Surroundings here = look_around(options.config);
  const Person person = who_am_i();
  mail::Address sender{person.login, {}};
  if (options.sender) {
    Result<mail::Address> given = parse_sender(*options.sender);
    if (!given) return complain(EX_DATAERR, given.error().text());
    sender = *std::move(given);
  }
  Result<std::vector<mail::Address>> recipients = parse_recipients(options.recipients);
  if (!recipients) return complain(EX_DATAERR, recipients.error().text());
  if (recipients->empty() && !options.extract)
    return complain(EX_USAGE, "there are no recipients; `sendmail --help` says more");
  const Result<std::string> input = read_standard_input();
  if (!input) return complain(EX_IOERR, input.error().text());
  const std::string text =
      to_wire_lines(*input, options.dot_is_text ? LoneDot::IsText : LoneDot::EndsMessage);
  OwnFields own;
  own.from = own_from(options, sender, person, here.hostname);
  own.now = base::read_clocks().wall;
  own.message_id = "<" + daemon::make_drop_name() + "@" + here.hostname + ">";
  Result<PreparedMail> prepared =
      prepare_mail(text, options.extract ? Extraction::Recipients : Extraction::None, own);
  if (!prepared) return complain(EX_DATAERR, prepared.error().text());
  std::move(prepared->recipients.begin(), prepared->recipients.end(),
            std::back_inserter(*recipients));
  if (recipients->empty())
    return complain(EX_USAGE, "the header names no recipients in To, Cc or Bcc");
  smtp::OutgoingMessage envelope = make_envelope(options, sender, *recipients);
  envelope.eight_bit = !base::is_ascii(prepared->content);
  return report(hand_over(here.paths, std::move(envelope), prepared->content,
                          options.verbose ? ShowDialogue::Yes : ShowDialogue::No));
}

int verify_recipients(const SendmailOptions& options) {
  const Surroundings here = look_around(options.config);
  const Result<std::vector<mail::Address>> recipients = parse_recipients(options.recipients);
  if (!recipients) return complain(EX_DATAERR, recipients.error().text());
  if (recipients->empty()) return complain(EX_USAGE, "there are no recipients to verify");
  const smtp::OutgoingMessage envelope =
      make_envelope(options, mail::Address{who_am_i().login, {}}, *recipients);
  const Result<std::vector<smtp::Reply>> replies =
      verify(here.paths, envelope, options.verbose ? ShowDialogue::Yes : ShowDialogue::No);
  if (!replies)
    return complain(EX_UNAVAILABLE, "the relay cannot be asked: " + replies.error().text());
  int status = EX_OK;
  for (std::size_t i = 0; i < replies->size(); ++i) {
    const smtp::Reply& reply = (*replies)[i];
    std::printf("%s: %s\n", envelope.recipients[i].address.c_str(),
                reply.is_none() ? "no reply" : smtp::one_line(reply).c_str());
    if (!reply.is_success()) status = reply.is_permanent() ? EX_NOUSER : EX_TEMPFAIL;
  }
  return status;
}

int speak(const SendmailOptions& options) {
  const Result<void> done = join_standard_streams(look_around(options.config).paths.socket);
  if (done) return EX_OK;
  // Who speaks SMTP to us hears it as SMTP.
  std::fputs("421 4.3.2 the relay does not answer; try again later\r\n", stdout);
  return complain(EX_UNAVAILABLE, done.error().text());
}

// -bp and -q are the business of other commands of this program.
int run_queue_command(const SendmailOptions& options, std::string_view name,
                      const std::vector<std::string>& arguments) {
  if (!options.config.empty()) ::setenv("ROCKDOVE_CONFIG", options.config.c_str(), /*replace=*/1);
  return run_postfix_command(name, arguments).value_or(EX_SOFTWARE);
}

}  // namespace

int run_sendmail(const std::vector<std::string>& arguments) {
  // A full disk and a reader that is gone are errors like others.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  const Result<SendmailOptions> options = parse_sendmail_options(arguments);
  if (!options) return complain(EX_USAGE, options.error().text() + "; `sendmail --help` says more");
  switch (options->mode) {
    case SendmailOptions::Mode::Deliver:
      return deliver(*options);
    case SendmailOptions::Mode::Speak:
      return speak(*options);
    case SendmailOptions::Mode::ListQueue:
      return run_queue_command(*options, "mailq", {});
    case SendmailOptions::Mode::FlushQueue:
      return run_queue_command(*options, "postqueue", {"-f"});
    case SendmailOptions::Mode::Verify:
      return verify_recipients(*options);
    case SendmailOptions::Mode::Aliases:
      return EX_OK;
    case SendmailOptions::Mode::Help:
      std::fputs(std::string(sendmail_help()).c_str(), stdout);
      return EX_OK;
    case SendmailOptions::Mode::Version:
      std::puts("rockdove " ROCKDOVE_VERSION);
      return EX_OK;
  }
  return EX_SOFTWARE;
}

std::optional<int> run_sendmail_command(std::string_view name,
                                        const std::vector<std::string>& arguments) {
  if (name == "sendmail") return run_sendmail(arguments);
  if (name == "newaliases") return run_sendmail({"-bi"});
  if (arguments.empty() || arguments.front() != "sendmail") return std::nullopt;
  return run_sendmail({arguments.begin() + 1, arguments.end()});
}

// Only for the list of commands: main() has run it before.
Action add_sendmail(CLI::App& app) {
  app.allow_extras();
  return [&app] { return run_sendmail(app.remaining()); };
}

}  // namespace rockdove::cli
