#include "mta/daemon/config_senders.h"

#include <algorithm>
#include <array>
#include <string>

#include "mta/base/text.h"
#include "mta/inbound/wishes.h"
#include "queue/types.h"

namespace rockdove::daemon {
namespace {

inbound::SubmissionSettings& submission(Draft& draft) {
  return draft.configuration.inbound.submission;
}

void read_tenant(Value& value, inbound::ListenerSettings& listener) {
  std::string name;
  if (!value.text(name)) return;
  if (!inbound::is_tenant_name(name))
    return value.error("a tenant is " + std::string(inbound::kTenantNameWanted));
  listener.tenant = base::lower_case(name);
}

// As a name that the pattern matches.
std::string without_stars(std::string pattern) {
  std::replace(pattern.begin(), pattern.end(), '*', 'x');
  return pattern;
}

constexpr std::size_t kSendersMax = 1'000;

std::string in_ticks(std::string_view text) {
  return "`" + base::printable(text, 80) + "`";
}

void read_name(Value& value, SenderDraft& sender, bool is_tenant) {
  sender.name_at = value.at();
  if (is_tenant) return read_tenant_pattern(value, sender.settings.name);
  std::string name;
  if (!value.text(name)) return;
  const std::string plain = without_stars(name);
  const bool is_campaign =
      plain.size() <= queue::kCampaignOctetsMax &&
      std::all_of(plain.begin(), plain.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!is_campaign) {
    return value.error(
        "a campaign is at most 128 printable ASCII characters; `*` stands for any run of them");
  }
  sender.settings.name = base::lower_case(name);
}

constexpr std::array kSections = {
    Section{"tenant", SectionKind::List,
            "What a tenant may send (senders.md). The first whose name matches counts. Others have "
            "the weight 1 and no limit.",
            [](Draft& draft, Position at) {
              draft.tenants.push_back({{}, at, {}});
            }},
    Section{"campaign", SectionKind::List,
            "What a campaign may send, likewise; those of different tenants are different ones.",
            [](Draft& draft, Position at) {
              draft.campaigns.push_back({{}, at, {}});
            }},
};

constexpr std::array kKeys = {
    Key{"tenant", "name", "tenant, or pattern", "",
        "Needed. With `*` for any run of characters it is about each tenant that it matches.",
        [](Value& value, Draft& draft) { read_name(value, draft.tenants.back(), true); }},
    Key{"tenant", "weight", "whole number", "1",
        "Its share of what can be sent to a provider, beside that of other tenants that have mail "
        "there: 1 to 1000.",
        [](Value& value, Draft& draft) {
          value.whole_number(draft.tenants.back().settings.weight, {1, queue::kTenantWeightMax});
        }},
    Key{"tenant", "rate", "rate, or list of rates", "\"off\"",
        "How many messages it may send, all providers together: `[\"10/s\", \"20000/day\"]`. A "
        "message with several recipients at one site counts once for each transaction.",
        [](Value& value, Draft& draft) { value.rates(draft.tenants.back().settings.rates); }},
    Key{"campaign", "name", "campaign, or pattern", "", "Needed. As that of a tenant.",
        [](Value& value, Draft& draft) { read_name(value, draft.campaigns.back(), false); }},
    Key{"campaign", "rate", "rate, or list of rates", "\"off\"", "As that of a tenant.",
        [](Value& value, Draft& draft) { value.rates(draft.campaigns.back().settings.rates); }},
    Key{"listener", "tenant", "name", "",
        "Whose mail it is that comes in here: 1 to 64 letters, digits and `._@+-`, in any case. "
        "Default: the account that has logged in; without, nobody's.",
        [](Value& value, Draft& draft) { read_tenant(value, draft.listeners.back().settings); }},
    Key{"listener", "tenant_from", "list of networks", "[]",
        "Clients from here, if they may send anywhere (`relay_from`, or a login), name the tenant "
        "themselves, with the header field X-Rockdove-Tenant.",
        [](Value& value, Draft& draft) {
          value.networks(draft.listeners.back().settings.tenant_from);
          draft.listeners.back().tenant_from_at = value.at();
        }},
    Key{"sendmail", "tenant", "name", "", "As `listener.tenant`, for their mail.",
        [](Value& value, Draft& draft) { read_tenant(value, submission(draft).listener); }},
    Key{"sendmail", "tenant_from", "list of user names or numbers", "[]",
        "Who may name the tenant with the header field X-Rockdove-Tenant.",
        [](Value& value, Draft& draft) { value.names(submission(draft).tenant_from); }},
};

void finish(std::vector<SenderDraft>& drafts, std::string_view what,
            std::vector<queue::SenderSettings>& settings, Problems& problems) {
  if (drafts.size() > kSendersMax)
    return problems.error(drafts.back().at, "there are at most 1,000 [[" + std::string(what) +
                                                "]] sections; one may be about many, by a "
                                                "pattern as \"*.example\"");
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    const SenderDraft& one = drafts[i];
    if (one.name_at.line == 0) {
      problems.error(one.at, "the " + std::string(what) + " has no `name`");
      continue;
    }
    if (one.settings.name.empty()) continue;  // what is wrong with it was said
    for (std::size_t before = 0; before < i; ++before) {
      if (!base::matches_pattern(drafts[before].settings.name, one.settings.name)) continue;
      problems.error(one.name_at, in_ticks(one.settings.name) + " is never used: the " +
                                      std::string(what) + " of line " +
                                      std::to_string(drafts[before].at.line) +
                                      " is about it, and the first that matches counts");
      break;
    }
    settings.push_back(one.settings);
  }
}

bool overlap(const base::IpNetwork& a, const base::IpNetwork& b) {
  return a.contains(b.base) || b.contains(a.base);
}

// Where nobody can log in, only who is in `relay_from` may send anywhere, and so name a tenant.
void check_tenant_from(const ListenerDraft& draft, Problems& problems) {
  const inbound::ListenerSettings& listener = draft.settings;
  if (listener.auth != inbound::ListenerAuth::Off) return;
  for (const base::IpNetwork& network : listener.tenant_from) {
    const bool may_relay =
        std::any_of(listener.relay_from.begin(), listener.relay_from.end(),
                    [&network](const base::IpNetwork& other) { return overlap(network, other); });
    if (may_relay) continue;
    problems.warning(draft.tenant_from_at,
                     base::format_ip_network(network) + " is outside of `relay_from` of " +
                         in_ticks(listener.name) +
                         ", and there is no `auth` by which its clients could log in: they may not "
                         "send anywhere, and so name no tenant");
  }
}

}  // namespace

void read_tenant_pattern(Value& value, std::string& pattern) {
  std::string name;
  if (!value.text(name)) return;
  if (!inbound::is_tenant_name(without_stars(name))) {
    return value.error("a tenant is " + std::string(inbound::kTenantNameWanted) +
                       "; `*` stands for any run of them");
  }
  pattern = base::lower_case(name);
}

std::span<const Section> sender_sections() {
  return kSections;
}

void finish_senders(Draft& draft, Problems& problems) {
  queue::QueueSettings& queue = draft.configuration.queue;
  finish(draft.tenants, "tenant", queue.tenants, problems);
  finish(draft.campaigns, "campaign", queue.campaigns, problems);
  for (const ListenerDraft& listener : draft.listeners) check_tenant_from(listener, problems);
}

std::span<const Key> sender_keys() {
  return kKeys;
}

}  // namespace rockdove::daemon
