#include "mta/inbound/local_user.h"

#include <algorithm>
#include <array>

#include "mta/base/text.h"

namespace rockdove::inbound {
namespace {

constexpr std::size_t kNameOctetsShown = 64;
constexpr std::array<std::uint8_t, 4> kPrefix = {0, 1, 0, 0};

// Whether he is in the list, by name or number.
bool is_listed(const std::vector<std::string>& users, std::uint32_t user, std::string_view name) {
  return std::any_of(users.begin(), users.end(),
                     [user, name, number = std::to_string(user)](const std::string& one) {
                       return one == number || (!name.empty() && one == name);
                     });
}

}  // namespace

base::IpAddress key_of_local_user(std::uint32_t user) {
  std::array<std::uint8_t, 16> octets{};
  std::copy(kPrefix.begin(), kPrefix.end(), octets.begin());
  for (unsigned i = 0; i < 4; ++i)
    octets[kPrefix.size() + i] = static_cast<std::uint8_t>(user >> (8 * (3 - i)));
  return base::IpAddress::v6(octets);
}

std::string describe_local_user(std::uint32_t user, std::string_view name) {
  std::string text = "uid " + std::to_string(user);
  if (!name.empty()) text.append(" (").append(base::printable(name, kNameOctetsShown)).append(")");
  return text;
}

std::string describe_client(const base::IpAddress& client) {
  const auto& octets = client.octets();
  const bool is_key =
      !client.is_v4() && std::equal(kPrefix.begin(), kPrefix.end(), octets.begin()) &&
      std::all_of(octets.begin() + 8, octets.end(), [](std::uint8_t octet) { return octet == 0; });
  if (!is_key) return base::format_ip_address(client);
  std::uint32_t user = 0;
  for (unsigned i = 0; i < 4; ++i) user = user << 8 | octets[kPrefix.size() + i];
  return describe_local_user(user, "");
}

bool may_submit(const SubmissionSettings& settings, std::uint32_t user, std::string_view name) {
  return settings.users.empty() || is_listed(settings.users, user, name);
}

bool may_name_tenant(const SubmissionSettings& settings, std::uint32_t user,
                     std::string_view name) {
  return is_listed(settings.tenant_from, user, name);
}

}  // namespace rockdove::inbound
