#include "mta/mail/enhanced_code.h"

#include <algorithm>
#include <iterator>

namespace rockdove::mail {
namespace {

struct Meaning {
  std::uint16_t subject;
  std::uint16_t detail;
  std::string_view text;
};

// In the order of the numbers; detail 0 speaks for the whole subject.
constexpr Meaning kMeanings[] = {
    {1, 0, "there is something wrong with an address"},
    {1, 1, "there is no such mailbox"},
    {1, 2, "there is no such mail domain"},
    {1, 3, "the recipient's address is not written as an address must be"},
    {1, 4, "the recipient's address could mean more than one mailbox"},
    {1, 5, "the recipient's address is valid"},
    {1, 6, "the mailbox has moved and left no forwarding address"},
    {1, 7, "the sender's address is not written as an address must be"},
    {1, 8, "the sender's domain cannot be found or takes no mail"},
    {1, 9, "the message was passed on to a system that sends no reports"},
    {1, 10, "the recipient's domain says that it takes no mail"},
    {2, 0, "there is something wrong with the mailbox"},
    {2, 1, "the mailbox is switched off"},
    {2, 2, "the mailbox is full"},
    {2, 3, "the message is bigger than this mailbox takes"},
    {2, 4, "the mailing list could not be expanded"},
    {3, 0, "there is something wrong with the receiving mail system"},
    {3, 1, "the receiving mail system has no space left"},
    {3, 2, "the receiving mail system takes no messages at the moment"},
    {3, 3, "the receiving mail system lacks a feature that the message needs"},
    {3, 4, "the message is bigger than the receiving mail system takes"},
    {3, 5, "a mail system on the way is not set up rightly"},
    {3, 6, "the message was taken, but its priority was changed"},
    {4, 0, "there is something wrong with the network or the way of the message"},
    {4, 1, "the receiving mail system did not answer"},
    {4, 2, "the connection broke"},
    {4, 3, "a directory or name server that is needed did not answer"},
    {4, 4, "no way to the receiving mail system was found"},
    {4, 5, "the receiving mail system is too busy"},
    {4, 6, "the message runs in circles between mail systems"},
    {4, 7, "the message could not be delivered in the time it was given"},
    {5, 0, "the mail systems did not understand each other"},
    {5, 1, "the mail system did not accept a command in that order"},
    {5, 2, "the mail system did not understand a command"},
    {5, 3, "the message has too many recipients at once"},
    {5, 4, "the mail system did not accept a parameter of a command"},
    {5, 5, "the mail systems speak different versions of the protocol"},
    {5, 6, "the mail system found a line of the authentication too long"},
    {6, 0, "there is something wrong with the content of the message"},
    {6, 1, "the receiving mail system does not take this kind of content"},
    {6, 2, "the message would have to be converted, which is not allowed"},
    {6, 3, "the message would have to be converted, which is not possible"},
    {6, 4, "the message was converted and has lost something"},
    {6, 5, "converting the message failed"},
    {6, 6, "the content of the message is not to be had"},
    {6, 7, "the receiving mail system takes no addresses with letters beyond ASCII"},
    {6, 8, "a reply in letters beyond ASCII was needed"},
    {6, 9, "a header of the message has letters beyond ASCII that are not taken"},
    {7, 0, "it was refused for reasons of security or policy"},
    {7, 1, "it was refused: the server does not take this message from this sender"},
    {7, 2, "the sender may not write to this mailing list"},
    {7, 3, "the message would have to be decrypted or encrypted anew, which is not possible"},
    {7, 4, "a security feature that the message needs is missing"},
    {7, 5, "a cryptographic operation failed"},
    {7, 6, "the cryptographic algorithm is not supported"},
    {7, 7, "the message was changed on its way"},
    {7, 8, "user name or password are wrong"},
    {7, 9, "the way of logging in is too weak"},
    {7, 10, "the connection must be encrypted"},
    {7, 11, "this way of logging in needs an encrypted connection"},
    {7, 12, "the password must be changed first"},
    {7, 13, "the account is switched off"},
    {7, 14, "the mail systems have no agreement that is needed"},
    {7, 15, "the priority of the message is too low at the moment"},
    {7, 16, "the message is too big for its priority"},
    {7, 17, "the mailbox has changed its owner since"},
    {7, 18, "the domain has changed its owner since"},
    {7, 19, "whether the mailbox has the same owner could not be checked"},
    {7, 20, "the message has no DKIM signature that passes"},
    {7, 21, "the message has no DKIM signature that is acceptable"},
    {7, 22, "the message has no DKIM signature of its author's domain"},
    {7, 23, "the sending server is not allowed to send for this domain (SPF)"},
    {7, 24, "the SPF record of the domain could not be read"},
    {7, 25, "the address of the sending server has no name in DNS"},
    {7, 26, "the message passed none of the checks of its sender (SPF, DKIM)"},
    {7, 27, "the sender's domain says that it takes no mail, so no answer could reach it"},
    {7, 28, "too much mail came in a short time"},
    {7, 29, "the checks that servers on the way had made (ARC) do not hold"},
    {7, 30, "the message may travel over encrypted connections only"},
};

constexpr bool comes_before(const Meaning& a, const Meaning& b) {
  return a.subject != b.subject ? a.subject < b.subject : a.detail < b.detail;
}

static_assert(std::is_sorted(std::begin(kMeanings), std::end(kMeanings), comes_before));

const Meaning* find_meaning(std::uint16_t subject, std::uint16_t detail) {
  const Meaning wanted{subject, detail, {}};
  const auto* found =
      std::lower_bound(std::begin(kMeanings), std::end(kMeanings), wanted, comes_before);
  if (found == std::end(kMeanings) || comes_before(wanted, *found)) return nullptr;
  return found;
}

// One to three digits without a leading zero, from `position` on, which moves behind them.
std::optional<std::uint16_t> take_number(std::string_view text, std::size_t& position) {
  const std::size_t start = position;
  unsigned number = 0;
  while (position < text.size() && text[position] >= '0' && text[position] <= '9') {
    if (position - start == 3) return std::nullopt;
    number = number * 10 + static_cast<unsigned>(text[position++] - '0');
  }
  if (position == start || (text[start] == '0' && position - start > 1)) return std::nullopt;
  return static_cast<std::uint16_t>(number);
}

bool is_word_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::string format_enhanced_code(const EnhancedCode& code) {
  return std::to_string(code.status_class) + "." + std::to_string(code.subject) + "." +
         std::to_string(code.detail);
}

std::optional<EnhancedCodeAndText> parse_enhanced_code(std::string_view text) {
  if (text.size() < 5 || text[1] != '.') return std::nullopt;
  if (text[0] != '2' && text[0] != '4' && text[0] != '5') return std::nullopt;
  std::size_t position = 2;
  const auto subject = take_number(text, position);
  if (!subject || position == text.size() || text[position++] != '.') return std::nullopt;
  const auto detail = take_number(text, position);
  if (!detail) return std::nullopt;
  const std::string_view rest = text.substr(position);
  if (!rest.empty() && is_word_character(rest.front())) return std::nullopt;
  if (rest.size() > 1 && rest[0] == '.' && is_word_character(rest[1])) return std::nullopt;
  const std::size_t blanks = std::min(rest.find_first_not_of(" \t"), rest.size());
  return EnhancedCodeAndText{{static_cast<std::uint8_t>(text[0] - '0'), *subject, *detail},
                             rest.substr(blanks)};
}

std::string_view explain(const EnhancedCode& code) {
  if (code.status_class != 2) {
    const Meaning* meaning = find_meaning(code.subject, code.detail);
    if (meaning == nullptr) meaning = find_meaning(code.subject, 0);
    if (meaning != nullptr) return meaning->text;
  }
  switch (code.status_class) {
    case 2:
      return "it was accepted";
    case 4:
      return "it could not be delivered for now";
    case 5:
      return "it cannot be delivered";
    default:
      return "the reason is not known";
  }
}

}  // namespace rockdove::mail
