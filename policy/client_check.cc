#include "policy/client_check.h"

#include <utility>

#include "policy/dns_lists.h"
#include "policy/helo_check.h"
#include "policy/reverse_dns.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

constexpr std::string_view kLists = "lists";
constexpr std::string_view kHelo = "helo";
constexpr std::string_view kReverse = "iprev";
constexpr std::string_view kDnsLists = "dnsbl";

constexpr std::string_view kRefused = "5.7.1";
constexpr std::string_view kReverseRefused = "5.7.25";  // RFC 7372 §3.3

struct Listed {
  AddressLists::Match match;
  std::string subject;  // in words for the sender
};

std::optional<Listed> find_in(const AddressLists& lists, const ClientFacts& facts) {
  if (auto match = lists.find_client(facts.client)) {
    return Listed{*std::move(match),
                  "your server's address " + base::format_ip_address(facts.client)};
  }
  if (auto match = lists.find_sender(facts.sender))
    return Listed{*std::move(match), "the sender " + shown_text(facts.sender)};
  if (auto match = lists.find_helo(facts.helo))
    return Listed{*std::move(match), "your server's name " + shown_text(facts.helo)};
  return std::nullopt;
}

// One check of one client.
class ClientCheck {
 public:
  ClientCheck(const ClientPolicy& policy, const ClientModes& modes, const ClientFacts& facts,
              RecordedDns& dns)
      : policy_(policy), modes_(modes), facts_(facts), dns_(dns) {}

  std::optional<ClientVerdict> run();

 private:
  // Each returns whether it refused. What is undecided is noted in is_missing_.
  bool look_into_lists();
  bool judge_helo();
  bool judge_reverse();
  bool judge_dns_lists();

  void note(std::string_view check, std::string words) {
    verdict_.notes.push_back({check, std::move(words)});
  }

  bool refuse(int code, std::string_view enhanced, std::string_view words) {
    verdict_.refusal = make_refusal(code, enhanced, words, policy_.contact);
    return true;
  }

  const ClientPolicy& policy_;
  ClientModes modes_;
  const ClientFacts& facts_;
  RecordedDns& dns_;
  ClientVerdict verdict_;
  bool is_missing_ = false;
};

bool ClientCheck::look_into_lists() {
  if (const auto allowed = find_in(policy_.allow, facts_)) {
    note(kLists,
         "allowed by " + allowed->match.entry + " of " + std::string(allowed->match.source));
    verdict_.is_allowed = true;
    for (CheckMode* mode : {&modes_.helo, &modes_.iprev}) {
      if (*mode == CheckMode::Enforce) *mode = CheckMode::Check;
    }
    modes_.dnsbl = CheckMode::Off;  // nothing would come of it
    return false;
  }
  const auto blocked = find_in(policy_.block, facts_);
  if (!blocked) {
    if (!policy_.allow.is_empty() || !policy_.block.is_empty()) note(kLists, "in none");
    return false;
  }
  note(kLists, "blocked by " + blocked->match.entry + " of " + std::string(blocked->match.source));
  // Which list it is, the sender need not know; by what it is in it, it must.
  return refuse(550, kRefused,
                blocked->subject + " is blocked here (" + shown_text(blocked->match.entry) + ")");
}

bool ClientCheck::judge_helo() {
  if (modes_.helo == CheckMode::Off) return false;
  std::optional<HeloFinding> finding = check_helo(policy_, facts_, dns_);
  if (!finding) {
    is_missing_ = true;
    return false;
  }
  note(kHelo, finding->words);
  if (!finding->is_wrong || modes_.helo != CheckMode::Enforce) return false;
  return refuse(550, kRefused, finding->words);
}

bool ClientCheck::judge_reverse() {
  if (modes_.iprev == CheckMode::Off) return false;
  std::optional<ReverseFinding> finding = check_reverse_dns(facts_.client, dns_);
  if (!finding) {
    is_missing_ = true;
    return false;
  }
  note(kReverse, std::string(name_of(finding->result)) + ": " + finding->words);
  const bool is_pass = finding->result == ReverseResult::Pass;
  verdict_.client_name = finding->name;
  // RFC 8601 §2.7.3; the name is for people.
  verdict_.results.push_back({"iprev",
                              std::string(name_of(finding->result)),
                              "",
                              is_pass ? shown_text(finding->name) : "",
                              {{"policy", "iprev", base::format_ip_address(facts_.client)}}});
  if (modes_.iprev != CheckMode::Enforce) return false;
  switch (finding->result) {
    case ReverseResult::Pass:
    case ReverseResult::TemporaryError:
      return false;
    case ReverseResult::Fail:
    case ReverseResult::PermanentError:
      return refuse(550, kReverseRefused, finding->words);
  }
  return false;
}

bool ClientCheck::judge_dns_lists() {
  if (modes_.dnsbl == CheckMode::Off || policy_.dns_lists.empty()) return false;
  std::optional<DnsListsFinding> finding = check_dns_lists(policy_, modes_.dnsbl, facts_, dns_);
  if (!finding) {
    is_missing_ = true;
    return false;
  }
  note(kDnsLists, finding->words);
  for (MethodResult& result : finding->results) verdict_.results.push_back(std::move(result));
  verdict_.list_errors = std::move(finding->list_errors);
  if (!finding->refuses || modes_.dnsbl != CheckMode::Enforce) return false;
  return refuse(554, kRefused, finding->refusal);
}

std::optional<ClientVerdict> ClientCheck::run() {
  using Judge = bool (ClientCheck::*)();
  for (const Judge judge : {&ClientCheck::look_into_lists, &ClientCheck::judge_helo,
                            &ClientCheck::judge_reverse, &ClientCheck::judge_dns_lists}) {
    // What refuses last counts only when all before it have come to an end, so that the same client
    // is always told the same.
    if ((this->*judge)() && !is_missing_) return std::move(verdict_);
  }
  if (is_missing_) return std::nullopt;
  return std::move(verdict_);
}

}  // namespace

std::optional<ClientVerdict> check_client(const ClientPolicy& policy, const ClientModes& modes,
                                          const ClientFacts& facts, RecordedDns& dns) {
  return ClientCheck(policy, modes, facts, dns).run();
}

}  // namespace rockdove::policy
