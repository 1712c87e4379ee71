#include "mta/daemon/config_sources.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "mta/base/text.h"
#include "mta/daemon/config_senders.h"
#include "mta/mail/idna.h"

namespace rockdove::daemon {
namespace {

using outbound::Source;
using outbound::SourcePool;

constexpr std::size_t kPoolsMax = 1'000;

SourceDraft& last_source(Draft& draft) {
  return draft.sources.back();
}

PoolDraft& last_pool(Draft& draft) {
  return draft.pools.back();
}

// What no connection to a stranger can go out from, and why.
struct Unusable {
  std::string_view network;
  std::string_view why;
};

constexpr std::array kUnusable = {
    Unusable{"224.0.0.0/4", "is a multicast address (RFC 5771)"},
    Unusable{"ff00::/8", "is a multicast address (RFC 4291)"},
    Unusable{"240.0.0.0/4", "is a reserved address, or that of all (RFC 1112, RFC 919)"},
    Unusable{"fe80::/10",
             "is an address within one link (RFC 4291), that other networks cannot answer"},
};

std::string_view why_unusable(const base::IpAddress& address) {
  const auto* found = std::find_if(kUnusable.begin(), kUnusable.end(), [&](const Unusable& one) {
    return base::parse_ip_network(one.network)->contains(address);
  });
  return found == kUnusable.end() ? std::string_view() : found->why;
}

void read_address(Value& value, Draft& draft) {
  std::string text;
  last_source(draft).address_at = value.at();
  if (!value.text(text)) return;
  const auto address = base::parse_ip_address(text);
  if (!address || address->is_unspecified()) {
    return value.error("\"" + base::printable(text, 80) +
                       "\" is no address; write one of this machine's, as \"192.0.2.10\" or "
                       "\"2001:db8::10\"");
  }
  if (const std::string_view why = why_unusable(*address); !why.empty()) {
    return value.error(
        text + " " + std::string(why) +
        ": mail cannot go out from there; write one of this machine's other addresses");
  }
  last_source(draft).source.address = *address;
}

// "a", or "a:3" with its weight.
void read_members(Value& value, Draft& draft) {
  for (Value& item : value.texts()) {
    const std::string& text = item.node().text;
    const std::size_t colon = text.find(':');
    PoolDraft::Member member{text.substr(0, colon), 1, item.at()};
    if (colon != std::string::npos) {
      const char* const end = text.data() + text.size();
      const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, member.weight);
      if (error != std::errc() || rest != end || member.weight < 1 ||
          member.weight > outbound::kSourceWeightMax) {
        item.error("\"" + base::printable(text, 80) +
                   "\": behind the colon stands a weight from 1 to 1000, as in \"a:3\"");
        continue;
      }
    }
    last_pool(draft).members.push_back(std::move(member));
  }
}

void read_tenants(Value& value, Draft& draft) {
  for (Value& item : value.texts()) {
    std::string tenant;
    read_tenant_pattern(item, tenant);
    if (!tenant.empty()) last_pool(draft).tenants.emplace_back(tenant, item.at());
  }
  last_pool(draft).has_tenants = true;
}

constexpr std::array kSections = {
    Section{"source", SectionKind::List,
            "An address of this machine that mail goes out from, and its name: see sources.md. "
            "Without any the system chooses. Mailboxes (LMTP, maildir) and questions about "
            "recipients go as the system chooses.",
            [](Draft& draft, Position at) { draft.sources.emplace_back().at = at; }},
    Section{"pool", SectionKind::List,
            "Sources among which the mail of some tenants is shared out. Without any, all sources "
            "are one pool for everybody.",
            [](Draft& draft, Position at) { draft.pools.emplace_back().at = at; }},
};

constexpr std::array kKeys = {
    Key{"source", "name", "name", "", "Needed. Stands in pools, logs and commands.",
        [](Value& value, Draft& draft) {
          if (value.name(last_source(draft).source.name)) last_source(draft).name_at = value.at();
        }},
    Key{"source", "address", "address", "",
        "Needed. IPv4 or IPv6; servers of the other family are reached from other sources.",
        read_address},
    Key{"source", "ehlo", "host name", "",
        "Our name in EHLO on connections from there; it should have this address in the DNS, and "
        "the address this name. Default: `hostname`.",
        [](Value& value, Draft& draft) {
          value.domain(last_source(draft).source.ehlo, "no host name");
        }},
    Key{"pool", "name", "name", "", "Needed. Stands in logs.",
        [](Value& value, Draft& draft) {
          if (value.name(last_pool(draft).name)) last_pool(draft).name_at = value.at();
        }},
    Key{"pool", "sources", "list of names, with weights", "",
        "Needed. `[\"a\", \"b:3\"]`: of four messages to a provider b sends three. A source that "
        "is not on this machine, paused, or used up is passed over.",
        read_members},
    Key{"pool", "tenant", "list of tenants, or patterns", "",
        "Whose mail; `*` stands for any run of characters. Default: of all who are in no other "
        "pool; without such a pool their mail goes "
        "as the system chooses.",
        read_tenants},
};

std::string in_ticks(std::string_view text) {
  return "`" + base::printable(text, 80) + "`";
}

using Sources = std::map<std::string, std::shared_ptr<const Source>>;

Sources finish_source_list(Draft& draft, Problems& problems) {
  Sources sources;
  std::map<std::string, unsigned> lines;  // of each name
  std::map<base::IpAddress, unsigned> address_lines;
  for (SourceDraft& one : draft.sources) {
    if (one.name_at.line == 0) {
      problems.error(one.at, "the source has no `name`");
      continue;
    }
    if (one.address_at.line == 0) {
      problems.error(one.at, "the source " + in_ticks(one.source.name) + " has no `address`");
      continue;
    }
    if (one.source.address.is_unspecified()) continue;  // that was said where it was read
    if (const auto [before, is_new] = lines.emplace(one.source.name, one.at.line); !is_new) {
      problems.error(one.name_at, "the source of line " + std::to_string(before->second) +
                                      " is called " + in_ticks(one.source.name) + ", too");
      continue;
    }
    const auto [other, is_new] = address_lines.emplace(one.source.address, one.at.line);
    if (!is_new) {
      problems.error(one.address_at, "the source of line " + std::to_string(other->second) +
                                         " has this address, too: receivers could not tell them "
                                         "apart");
      continue;
    }
    if (one.source.ehlo.empty()) one.source.ehlo = draft.configuration.hostname;
    sources.emplace(one.source.name, std::make_shared<const Source>(one.source));
  }
  return sources;
}

std::vector<SourcePool::Member> finish_members(const PoolDraft& pool, const Sources& sources,
                                               Problems& problems) {
  std::vector<SourcePool::Member> members;
  std::set<std::string> seen;
  for (const PoolDraft::Member& member : pool.members) {
    const auto found = sources.find(member.name);
    if (found == sources.end()) {
      std::vector<std::string_view> names;
      for (const auto& [name, source] : sources) names.emplace_back(name);
      problems.error(member.at, "there is no [[source]] " + in_ticks(member.name) +
                                    did_you_mean(member.name, names));
    } else if (!seen.insert(member.name).second) {
      problems.error(member.at, in_ticks(member.name) +
                                    " is in this pool already; to give it more "
                                    "mail, raise its weight, as in \"" +
                                    base::printable(member.name, 80) + ":2\"");
    } else {
      members.push_back({found->second, member.weight});
    }
  }
  return members;
}

// Whose pool is whose: each tenant is in one, and one at most is for the others.
void check_tenants(const PoolDraft& pool, std::map<std::string, unsigned>& lines,
                   unsigned& default_line, Problems& problems) {
  if (!pool.has_tenants) {
    if (default_line != 0) {
      problems.error(pool.at, "the pool of line " + std::to_string(default_line) +
                                  " has no `tenant`, either; only one can be for all the others");
    }
    default_line = pool.at.line;
    return;
  }
  if (pool.tenants.empty()) {
    problems.error(pool.at,
                   "`tenant` of the pool is empty; leave it out for a pool of all who "
                   "are in no other one");
  }
  for (const auto& [tenant, at] : pool.tenants) {
    const auto [before, is_new] = lines.emplace(tenant, at.line);
    if (is_new) continue;
    problems.error(at, "the tenant " + in_ticks(tenant) + " has a pool already, in line " +
                           std::to_string(before->second));
  }
}

void warn_of_unused(const Draft& draft, Problems& problems) {
  std::set<std::string> used;
  for (const PoolDraft& pool : draft.pools) {
    for (const PoolDraft::Member& member : pool.members) used.insert(member.name);
  }
  for (const SourceDraft& one : draft.sources) {
    if (one.name_at.line == 0 || used.contains(one.source.name)) continue;
    problems.warning(one.at,
                     "the source " + in_ticks(one.source.name) + " is in no pool and never used");
  }
}

void finish_pools(Draft& draft, const Sources& sources, Problems& problems) {
  std::map<std::string, unsigned> lines;  // of each name
  std::map<std::string, unsigned> tenant_lines;
  unsigned default_line = 0;
  for (const PoolDraft& one : draft.pools) {
    if (one.name_at.line == 0) {
      problems.error(one.at, "the pool has no `name`");
      continue;
    }
    if (const auto [before, is_new] = lines.emplace(one.name, one.at.line); !is_new) {
      problems.error(one.name_at, "the pool of line " + std::to_string(before->second) +
                                      " is called " + in_ticks(one.name) + ", too");
    }
    if (one.members.empty())
      problems.error(one.at, "the pool " + in_ticks(one.name) + " has no `sources`");
    check_tenants(one, tenant_lines, default_line, problems);
    SourcePool pool{one.name, finish_members(one, sources, problems), {}};
    for (const auto& [tenant, at] : one.tenants) pool.tenants.push_back(tenant);
    draft.configuration.outbound.pools.push_back(std::move(pool));
  }
}

}  // namespace

std::span<const Section> sources_sections() {
  return kSections;
}

std::span<const Key> sources_keys() {
  return kKeys;
}

void finish_sources(Draft& draft, Problems& problems) {
  if (draft.sources.size() > outbound::kSourcesMax)
    return problems.error(draft.sources.back().at, "there are at most 1,000 sources");
  if (draft.pools.size() > kPoolsMax)
    return problems.error(draft.pools.back().at, "there are at most 1,000 pools");
  const Sources sources = finish_source_list(draft, problems);
  if (!draft.pools.empty()) {
    finish_pools(draft, sources, problems);
    return warn_of_unused(draft, problems);
  }
  if (sources.empty()) return;
  SourcePool everybody{"all", {}, {}};
  for (const auto& [name, source] : sources) everybody.members.push_back({source, 1});
  draft.configuration.outbound.pools = {std::move(everybody)};
}

}  // namespace rockdove::daemon
