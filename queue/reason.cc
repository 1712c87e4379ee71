#include "queue/reason.h"

#include <algorithm>
#include <array>

#include "mta/base/assert.h"
#include "mta/base/text.h"

namespace rockdove::queue {
namespace {

// Words of the large providers and of the usual servers, in lower case.
constexpr std::array<std::string_view, 3> kGreylistWords = {"greylist", "graylist", "grey list"};
constexpr std::array<std::string_view, 14> kRateWords = {
    "rate limit",       "ratelimit",
    "rate-limit",       "too many",
    "too fast",         "too quickly",
    "throttl",          "[tss0",
    "slow down",        "unusual rate",
    "sending too",      "exceeded the rate",
    "exceeded the max", "unsolicited mail originating"};
constexpr std::array<std::string_view, 7> kFullWords = {
    "mailbox full",   "mailbox is full",  "full mailbox",        "over quota",
    "quota exceeded", "exceeded storage", "out of storage space"};
// Many greylist with no more words than these …
constexpr std::array<std::string_view, 4> kLaterWords = {"try again", "try later", "come back",
                                                         "retry"};
// … but what says so, too, is not mended by coming again.
constexpr std::array<std::string_view, 12> kBlameWords = {
    "reject", "denied", "blocked", "hostname",   "host name", "reverse",
    "ptr ",   "spam",   "policy",  "reputation", "dns",       "dmarc"};

template <std::size_t N>
bool has_any(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::any_of(words.begin(), words.end(), [text](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

// Takes the first word, and the blank behind it.
std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(text.size(), word.size() + 1));
  return word;
}

// An answer of ours has our own code and, where there was one, begins with the host.
Reason reason_of_ours(std::string_view status) {
  if (status == "4.4.1") return Reason::Unreachable;
  if (status == "4.7.5") return Reason::Tls;
  return Reason::Silent;
}

// An answer to AUTH, or ours where we could not ask.
bool is_about_login(std::string_view code, std::string_view status, const std::string& text) {
  // A 5yz makes mail wait only where our own password was refused (queue/failure.h).
  if (code.starts_with('5')) return true;
  if (status == "4.7.11" || text.find("does not offer auth") != std::string::npos) return true;
  // RFC 4954 §6; but 454 is said of much else, too: "454 4.7.1 Relay access denied".
  return status == "4.7.12" || (code == "454" && text.find("authentic") != std::string::npos);
}

Reason reason_of_peer(std::string_view code, std::string_view status, const std::string& text) {
  if (is_about_login(code, status, text)) return Reason::Login;
  if (status == "4.2.2" || has_any(text, kFullWords)) return Reason::MailboxFull;
  if (has_any(text, kGreylistWords)) return Reason::Greylisted;
  // 4.5.3 is of too many recipients in one transaction.
  if (status == "4.7.28" || (status != "4.5.3" && has_any(text, kRateWords))) {
    return Reason::RateLimited;
  }
  const bool sounds_greylisted = status == "4.7.1" && (code == "450" || code == "451") &&
                                 has_any(text, kLaterWords) && !has_any(text, kBlameWords);
  return sounds_greylisted ? Reason::Greylisted : Reason::Refused;
}

}  // namespace

Reason reason_of(const LastAttempt& last) {
  if (last.reply.empty()) return last.host.empty() ? Reason::NotTried : Reason::Silent;
  std::string_view rest = last.reply;
  const std::string_view code = take_word(rest);
  std::string_view status;
  if (rest.size() > 2 && rest[1] == '.' && rest[0] >= '2' && rest[0] <= '5') {
    status = take_word(rest);
  }
  if (rest.starts_with("the message could not be read from the queue")) return Reason::Unreadable;
  if (last.host.empty() && rest.starts_with("no source address of the pool")) return Reason::Source;
  if (last.host.starts_with("maildir:")) return Reason::Maildir;
  if (last.host.empty()) return status == "4.4.1" ? Reason::Unreachable : Reason::Dns;
  if (code == "451" && rest.starts_with(last.host)) return reason_of_ours(status);
  if (rest.starts_with("this machine has no IPv6 route")) return Reason::Unreachable;
  return reason_of_peer(code, status, base::lower_case(rest));
}

std::string_view reason_name(Reason reason) {
  switch (reason) {
    case Reason::NotTried:
      return "not-tried";
    case Reason::Greylisted:
      return "greylisted";
    case Reason::MailboxFull:
      return "mailbox-full";
    case Reason::RateLimited:
      return "rate-limited";
    case Reason::Refused:
      return "refused";
    case Reason::Unreachable:
      return "unreachable";
    case Reason::Silent:
      return "no-answer";
    case Reason::Dns:
      return "dns";
    case Reason::Tls:
      return "tls";
    case Reason::Login:
      return "login";
    case Reason::Unreadable:
      return "unreadable";
    case Reason::Maildir:
      return "maildir";
    case Reason::Source:
      return "source";
  }
  MTA_ASSERT(false);
}

}  // namespace rockdove::queue
