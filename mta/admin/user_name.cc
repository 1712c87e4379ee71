#include "mta/admin/user_name.h"

#include <array>
#include <cstdio>
#include <memory>
#include <pwd.h>

namespace rockdove::admin {

std::string name_of_user(std::uint32_t user) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen("/etc/passwd", "re"), close);
  if (file == nullptr) return {};
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  while (fgetpwent_r(file.get(), &entry, buffer.data(), buffer.size(), &found) == 0) {
    if (entry.pw_uid == user) return entry.pw_name;
  }
  return {};
}

std::string describe_user(const std::optional<net::PeerCredentials>& peer) {
  if (!peer) return "somebody";
  std::string text = "uid " + std::to_string(peer->user);
  const std::string name = name_of_user(peer->user);
  if (!name.empty()) text.append(" (").append(name).append(")");
  return text;
}

}  // namespace rockdove::admin
