#include "mta/admin/why_words.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "queue/reason.h"

namespace rockdove::admin {
namespace {

constexpr std::size_t kNameOctetsShown = 120;  // an account may name many hosts

// Without code and enhanced code, which are ours as well.
std::string without_codes(std::string_view reply) {
  for (int word = 0; word < 2; ++word) {
    if (reply.empty() || reply[0] < '0' || reply[0] > '9') break;
    reply.remove_prefix(std::min(reply.size(), std::min(reply.find(' '), reply.size()) + 1));
  }
  return std::string(reply);
}

bool is_answer(const queue::LastAttempt& last) {
  using queue::Reason;
  switch (queue::reason_of(last)) {
    case Reason::Greylisted:
    case Reason::MailboxFull:
    case Reason::RateLimited:
    case Reason::Refused:
      return true;
    case Reason::Login:  // 451: we did not even ask
      return !last.reply.starts_with("451");
    case Reason::NotTried:
    case Reason::Unreachable:
    case Reason::Silent:
    case Reason::Dns:
    case Reason::Tls:
    case Reason::Unreadable:
    case Reason::Maildir:
    case Reason::Source:
      return false;
  }
  MTA_ASSERT(false);
}

}  // namespace

std::string shell_quoted(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@._+=:-";
  const bool is_plain = text.find_first_not_of(kPlain) == std::string_view::npos;
  if (is_plain && !text.empty() && !text.starts_with('-')) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string count_of(std::uint64_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

std::string plain_name(std::string_view name) {
  if (name.starts_with("route:")) return "route " + base::printable(name.substr(6));
  if (name.starts_with("provider:")) return base::printable(name.substr(9), kNameOctetsShown);
  const bool has_prefix = name.starts_with("mx:") || name.starts_with("to:");
  return base::printable(name.substr(has_prefix ? 3 : 0), kNameOctetsShown);
}

std::string describe_pause(const queue::Pause& pause) {
  std::string text = pause.by.empty() ? "Somebody" : pause.by;
  text += " has paused ";
  switch (pause.kind) {
    case queue::PauseKind::Everything:
      text += "everything";
      break;
    case queue::PauseKind::Destination:
    case queue::PauseKind::Site:
    case queue::PauseKind::Provider:
      text.append(queue::kind_name(pause.kind)) += " " + pause.pattern;
      break;
    case queue::PauseKind::Source:
      text += "what leaves from " + pause.pattern;
      break;
    case queue::PauseKind::User:
    case queue::PauseKind::Tenant:
    case queue::PauseKind::Campaign:
      text.append("the mail of ").append(queue::kind_name(pause.kind)) += " " + pause.pattern;
      break;
  }
  if (!pause.reason.empty()) text += " (" + pause.reason + ")";
  return text;
}

std::string resume_command(const queue::Pause& pause) {
  if (pause.kind == queue::PauseKind::Everything) return "rockdove resume --all";
  return "rockdove resume --" + std::string(queue::kind_name(pause.kind)) + " " +
         shell_quoted(pause.pattern);
}

std::string last_words(const queue::LastAttempt& last) {
  if (!is_answer(last)) {
    if (!last.reply.empty()) return without_codes(last.reply);
    return last.host.empty() ? "nothing is known of it" : last.host + " gave no answer";
  }
  return (last.host.empty() ? "the next hop" : last.host) +
         (last.source.empty() ? "" : ", asked from " + last.source + ",") + " answered \"" +
         base::printable(last.reply, queue::kReplyOctetsKept) + '"';
}

std::string attempt_text(const queue::Delivery& delivery) {
  using queue::Reason;
  const std::string said = last_words(delivery.last) + ".";
  const std::string destination = plain_name(delivery.destination);
  switch (queue::reason_of(delivery.last)) {
    case Reason::NotTried:
      return delivery.due == delivery.lives_from
                 ? "It is scheduled: its sender wants it to be sent at its time, and not before."
                 : "It waits for its time; nothing was tried yet.";
    case Reason::Greylisted:
      return "This looks like greylisting, which is normal: " + said +
             " Such hosts take mail of a sender they do not know when it comes again some minutes "
             "later.";
    case Reason::MailboxFull:
      return "The mailbox of " + delivery.recipient + " is full: " + said +
             " It goes once its owner has made room.";
    case Reason::RateLimited:
      return "The receiving side takes no more from us for now, because it was too much or came "
             "too fast: " +
             said;
    case Reason::Refused:
      return "The receiving side did not take it this time: " + said;
    case Reason::Unreachable:
      return "No host of " + destination + " takes a connection; last: " + said;
    case Reason::Silent:
      return "The conversation failed: " + said;
    case Reason::Dns:
      return "The DNS does not say which hosts take mail for " + destination + ": " + said;
    case Reason::Tls:
      return "It may go within TLS only, and that could not be had: " + said;
    case Reason::Login:
      return "The next hop does not let us log in: " + said +
             " All mail of this route waits until that is put right.";
    case Reason::Unreadable:
      return "Our own queue is in trouble: " + said;
    case Reason::Maildir:
      return "The file could not be written into its maildir: " + said;
    case Reason::Source:
      return "It has no address to leave from: " + said;
  }
  MTA_ASSERT(false);
}

}  // namespace rockdove::admin
