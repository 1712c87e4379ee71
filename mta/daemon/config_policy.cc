#include "mta/daemon/config_policy.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

#include "mta/base/text.h"
#include "policy/dns_lists.h"
#include "policy/refusal.h"

namespace rockdove::daemon {
namespace {

using policy::CheckMode;
using policy::DnsList;

constexpr std::uint32_t kWeightMax = 100;
constexpr std::size_t kListTextOctetsMax = 200;
constexpr int kDefaultWeight = 5;

constexpr std::array<std::pair<std::string_view, CheckMode>, 3> kModes = {
    {{"off", CheckMode::Off}, {"check", CheckMode::Check}, {"enforce", CheckMode::Enforce}}};
constexpr std::array<std::pair<std::string_view, DnsList::Of>, 3> kSubjects = {
    {{"client", DnsList::Of::Client},
     {"sender", DnsList::Of::Sender},
     {"helo", DnsList::Of::Helo}}};

policy::ClientPolicy& clients(Draft& draft) {
  return draft.policy.clients;
}

DnsList& last_list(Draft& draft) {
  return draft.policy.dns_lists.back().list;
}

template <int weight>
void begin_dns_list(Draft& draft, Position at) {
  DnsListDraft& begun = draft.policy.dns_lists.emplace_back();
  begun.at = at;
  begun.list.weight = weight;
}

template <ListDraft PolicyDraft::*key>
void read_list(Value& value, Draft& draft) {
  constexpr std::string_view kFile = "file:";
  ListDraft& list = draft.policy.*key;
  for (Value& item : value.texts()) {
    const std::string& text = item.node().text;
    if (!text.starts_with(kFile)) {
      if (const auto added = list.own.add(text); !added) item.error(added.error().text());
      if (text == "0.0.0.0/0" || text == "::/0")
        item.warning("\"" + text + "\" is every client there is");
      continue;
    }
    if (text.size() < kFile.size() + 2 || text[kFile.size()] != '/') {
      item.error("\"" + base::printable(text, 80) +
                 "\" wants a path from the root, as in \"file:/etc/rockdove/block\"");
    } else if (list.files.size() == kListFilesMax) {
      item.error("a list names at most 20 files");
    } else {
      list.files.push_back({text.substr(kFile.size()), item.at()});
    }
  }
}

void read_contact(Value& value, Draft& draft) {
  std::string contact;
  if (value.node().type == Node::Type::Text && value.node().text.empty()) return;
  if (!value.text(contact)) return;
  const bool is_plain =
      std::all_of(contact.begin(), contact.end(), [](char c) { return c >= ' ' && c <= '~'; });
  // It goes into replies, which are ASCII for most clients.
  if (!is_plain || contact.size() > policy::kContactOctetsMax)
    return value.error("`policy.contact` wants up to 200 characters of plain ASCII");
  clients(draft).contact = contact;
}

void read_refuse_at(Value& value, Draft& draft) {
  std::uint32_t weight = 0;
  if (value.whole_number(weight, {1, 1000})) clients(draft).refuse_at = static_cast<int>(weight);
}

void read_weight(Value& value, Draft& draft) {
  std::uint32_t weight = 0;
  if (value.whole_number(weight, {1, kWeightMax}))
    last_list(draft).weight = static_cast<int>(weight);
}

// 3 and -3 can only mean the same.
void read_negative_weight(Value& value, Draft& draft) {
  const std::int64_t written = value.node().integer;
  if (value.node().type == Node::Type::Integer && written < 0 &&
      written >= -std::int64_t{kWeightMax}) {
    last_list(draft).weight = static_cast<int>(written);
    return;
  }
  std::uint32_t weight = 0;
  if (value.whole_number(weight, {1, kWeightMax}))
    last_list(draft).weight = -static_cast<int>(weight);
}

void read_zone(Value& value, Draft& draft) {
  value.domain(last_list(draft).zone, "no zone; write one as in \"zen.example\"");
}

void read_answers(Value& value, Draft& draft) {
  const base::IpNetwork all = base::parse_ip_network("127.0.0.0/8").value();
  std::vector<base::IpNetwork> answers;
  if (!value.networks(answers)) return;
  for (const base::IpNetwork& answer : answers) {
    if (all.contains(answer.base) && answer.prefix_bits >= all.prefix_bits) continue;
    return value.error(base::format_ip_network(answer) +
                       " is no answer of a list: they are in 127.0.0.0/8 (RFC 5782)");
  }
  last_list(draft).answers = std::move(answers);
}

void read_text(Value& value, Draft& draft) {
  std::string text;
  if (!value.text(text)) return;
  if (text.size() > kListTextOctetsMax) return value.error("`text` is longer than 200 octets");
  if (!policy::expand_list_text(text, "", "", "")) {
    return value.error(
        "in `text` a percent sign is the client's address (%a), the domain (%d), the zone (%z), or "
        "itself (%%)");
  }
  last_list(draft).text = text;
}

void read_subject(Value& value, Draft& draft) {
  value.choice<DnsList::Of>(last_list(draft).of, kSubjects);
}

constexpr std::array kSections = {
    Section{"policy", SectionKind::Table,
            "What mail of clients that may not relay goes through. `off`: nothing; `check`: the "
            "result stands in Authentication-Results and in the log; `enforce`: what fails is "
            "refused. See policy.md."},
    Section{"policy.dnsbl", SectionKind::List,
            "A list that is asked over the DNS, and lists those whose mail one does not want. The "
            "weights of all that list a client are added up.",
            begin_dns_list<kDefaultWeight>},
    Section{"policy.dnswl", SectionKind::List,
            "The same, but who is listed is vouched for: the weight is taken away.",
            begin_dns_list<-kDefaultWeight>},
};

constexpr std::string_view kEntries =
    "`192.0.2.0/24`, `jane@example.net`, `example.net` (the domain of MAIL FROM), `.example.net` "
    "(below it), `helo:mail.example.net`, or `file:/path` with one to a line, which is read again "
    "when it changes.";

constexpr std::array kKeys = {
    Key{"policy", "helo", "off, check or enforce", "\"check\"",
        "Whether the name in HELO can be the client's; `enforce` refuses if not.",
        [](Value& value, Draft& draft) {
          value.choice<CheckMode>(draft.judging.settings.checks.client.helo, kModes);
        }},
    Key{"policy", "iprev", "off, check or enforce", "\"check\"",
        "Whether the client's address has a name in the DNS that leads back to it (FCrDNS).",
        [](Value& value, Draft& draft) {
          value.choice<CheckMode>(draft.judging.settings.checks.client.iprev, kModes);
        }},
    Key{"policy", "allow", "list of entries", "[]",
        "Nothing of policy refuses mail of these. The entries are those of `block`.",
        read_list<&PolicyDraft::allow>},
    Key{"policy", "block", "list of entries", "[]", kEntries, read_list<&PolicyDraft::block>},
    Key{"policy", "dmarc_exempt", "list of entries", "[]",
        "DMARC refuses and holds no mail of these clients and senders, and none whose authors "
        "(From) "
        "are all of these domains. The entries are those of `block`.",
        read_list<&PolicyDraft::dmarc_exempt>},
    Key{"policy", "refuse_at", "whole number", "5",
        "Weights of `[[policy.dnsbl]]` and `[[policy.dnswl]]` that add up to this refuse.",
        read_refuse_at},
    Key{"policy", "contact", "text", "\"\"",
        "Ends each refusal and says whom to ask: `postmaster@example.com or +49 30 1234`.",
        read_contact},

    Key{"policy.dnsbl", "zone", "domain", "", "The list's name in the DNS. There must be one.",
        read_zone},
    Key{"policy.dnsbl", "weight", "whole number", "5", "What a listing counts, 1 to 100.",
        read_weight},
    Key{"policy.dnsbl", "answers", "list of networks", "[\"127.0.0.0/8\"]",
        "Answers that are a listing. `127.255.255.0/24` never is one: with that, a list says that "
        "it does not serve us.",
        read_answers},
    Key{"policy.dnsbl", "text", "text", "",
        "Tells a sender more: `%a` is the client's address, `%d` the domain, `%z` the zone. "
        "Default: the list's own words.",
        read_text},
    Key{"policy.dnsbl", "of", "client, sender or helo", "\"client\"",
        "What is looked up: the client's address, the domain of MAIL FROM, or the name in HELO.",
        read_subject},

    Key{"policy.dnswl", "zone", "domain", "", "The list's name in the DNS. There must be one.",
        read_zone},
    Key{"policy.dnswl", "weight", "whole number", "5", "What a listing takes away, 1 to 100.",
        read_negative_weight},
    Key{"policy.dnswl", "answers", "list of networks", "[\"127.0.0.0/8\"]",
        "Answers that are a listing.", read_answers},
    Key{"policy.dnswl", "of", "client, sender or helo", "\"client\"", "As of `[[policy.dnsbl]]`.",
        read_subject},
};

policy::AddressLists finish_list(ListDraft& draft, std::string_view what, NamedFiles& files,
                                 Problems& problems) {
  policy::AddressLists lists;
  if (draft.own.size() > 0) lists.own = draft.own.finish();
  for (const NamedFile& file : draft.files) {
    const bool is_twice = std::any_of(lists.files.begin(), lists.files.end(),
                                      [&](const auto& one) { return one.path == file.path; });
    if (is_twice) {
      problems.warning(file.at, "the file is named twice");
      continue;
    }
    const std::optional<std::string> text = files.read(file, policy::kListOctetsMax, what);
    if (!text) continue;
    policy::ParsedList parsed = policy::parse_address_list(*text);
    Problems in_file(file.path);
    for (policy::ListProblem& problem : parsed.problems) {
      const Position at{problem.line, problem.line > 0 ? 1U : 0U};
      in_file.error(at, std::move(problem.text));
    }
    if (parsed.problems_left_out > 0)
      in_file.error({}, std::to_string(parsed.problems_left_out) + " more lines are wrong");
    problems.add(in_file);
    if (parsed.list != nullptr) lists.files.push_back({file.path, std::move(parsed.list)});
  }
  return lists;
}

void finish_dns_lists(Draft& draft, Problems& problems) {
  std::vector<DnsListDraft>& drafts = draft.policy.dns_lists;
  if (drafts.size() > policy::kDnsListsMax)
    return problems.error(drafts.back().at, "there are at most 20 DNS lists");
  int weight = 0;
  for (DnsListDraft& one : drafts) {
    if (one.list.zone.empty()) problems.error(one.at, "the DNS list has no `zone`");
    weight += std::max(0, one.list.weight);
    clients(draft).dns_lists.push_back(std::move(one.list));
  }
  if (weight > 0 && weight < clients(draft).refuse_at) {
    problems.warning(drafts.front().at, "all DNS lists together weigh " + std::to_string(weight) +
                                            ", less than `policy.refuse_at`, which is " +
                                            std::to_string(clients(draft).refuse_at) +
                                            ": they refuse nobody");
  }
}

}  // namespace

std::span<const Section> policy_sections() {
  return kSections;
}

std::span<const Key> policy_keys() {
  return kKeys;
}

void finish_policy(Draft& draft, NamedFiles& files, Problems& problems) {
  policy::ClientPolicy& policy = clients(draft);
  policy.allow = finish_list(draft.policy.allow, "`policy.allow`", files, problems);
  policy.block = finish_list(draft.policy.block, "`policy.block`", files, problems);
  policy.dmarc_exempt =
      finish_list(draft.policy.dmarc_exempt, "`policy.dmarc_exempt`", files, problems);
  finish_dns_lists(draft, problems);
  policy.own_names = {draft.configuration.hostname};
  draft.configuration.inbound.clients =
      std::make_shared<const policy::ClientPolicy>(std::move(policy));
}

}  // namespace rockdove::daemon
