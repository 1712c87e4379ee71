#include "mta/daemon/config_senders.h"

#include <array>
#include <string>

#include "mta/base/text.h"
#include "mta/inbound/wishes.h"

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

constexpr std::array kKeys = {
    Key{"listener", "tenant", "name", "",
        "Whose mail it is that comes in here: 1 to 64 letters, digits and `._@+-`, in any case. "
        "Default: the account that has logged in; without, nobody's.",
        [](Value& value, Draft& draft) { read_tenant(value, draft.listeners.back().settings); }},
    Key{"listener", "tenant_from", "list of networks", "[]",
        "Clients from here, if they may send anywhere, name the tenant themselves, with the header "
        "field X-Rockdove-Tenant.",
        [](Value& value, Draft& draft) {
          value.networks(draft.listeners.back().settings.tenant_from);
        }},
    Key{"sendmail", "tenant", "name", "", "As `listener.tenant`, for their mail.",
        [](Value& value, Draft& draft) { read_tenant(value, submission(draft).listener); }},
    Key{"sendmail", "tenant_from", "list of user names or numbers", "[]",
        "Who may name the tenant with the header field X-Rockdove-Tenant.",
        [](Value& value, Draft& draft) { value.names(submission(draft).tenant_from); }},
};

}  // namespace

std::span<const Key> sender_keys() {
  return kKeys;
}

}  // namespace rockdove::daemon
