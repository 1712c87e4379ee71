#include "policy/reverse_dns.h"

#include <algorithm>
#include <vector>

#include "dns/answers.h"
#include "policy/client_check.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

constexpr std::size_t kNamesShownMax = 3;

// "a.example, b.example and 7 others".
std::string shown_names(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesShownMax); ++i)
    text.append(text.empty() ? "" : ", ").append(shown_text(names[i]));
  if (names.size() > kNamesShownMax)
    text.append(" and ").append(std::to_string(names.size() - kNamesShownMax)).append(" others");
  return text;
}

ReverseFinding temporary(const std::string& what, dns::Status status) {
  return {ReverseResult::TemporaryError, "",
          what + " could not be looked up: " + std::string(dns::name_of(status))};
}

}  // namespace

std::string_view name_of(ReverseResult result) {
  switch (result) {
    case ReverseResult::Pass:
      return "pass";
    case ReverseResult::Fail:
      return "fail";
    case ReverseResult::TemporaryError:
      return "temperror";
    case ReverseResult::PermanentError:
      return "permerror";
  }
  return "";
}

std::optional<ReverseFinding> check_reverse_dns(const base::IpAddress& client, RecordedDns& dns) {
  const std::string address = base::format_ip_address(client);
  const dns::Answer* reverse = dns.find(dns::reverse_name(client), dns::RecordType::PTR);
  if (reverse == nullptr) return std::nullopt;
  if (dns::is_temporary(reverse->status))
    return temporary("the name of " + address, reverse->status);
  if (reverse->names.empty()) {
    return ReverseFinding{ReverseResult::PermanentError, "",
                          address +
                              " has no name in the DNS (PTR record); whoever gave you the address "
                              "can set one, and that name must lead back to it"};
  }
  const auto type = client.is_v4() ? dns::RecordType::A : dns::RecordType::AAAA;
  const std::size_t count = std::min(reverse->names.size(), kReverseNamesMax);
  bool is_missing = false;
  std::optional<ReverseFinding> failed;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& name = reverse->names[i];
    const dns::Answer* forward = dns.find(name, type);
    if (forward == nullptr) {
      is_missing = true;
      continue;
    }
    const auto end = forward->addresses.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                      forward->addresses.size(), kReverseNamesMax));
    // One name that leads back is enough, whatever the others do.
    if (std::find(forward->addresses.begin(), end, client) != end)
      return ReverseFinding{ReverseResult::Pass, name, address + " is " + shown_text(name)};
    if (dns::is_temporary(forward->status) && !failed)
      failed = temporary(shown_text(name), forward->status);
  }
  if (is_missing) return std::nullopt;
  if (failed) return failed;
  return ReverseFinding{ReverseResult::Fail, "",
                        address + " has the name " + shown_names(reverse->names) +
                            " in the DNS, which does not lead back to it: the " +
                            std::string(dns::name_of(type)) + " or the PTR record is wrong"};
}

}  // namespace rockdove::policy
