#include "mta/daemon/user_names.h"

#include <charconv>
#include <optional>
#include <string_view>

#include <sys/stat.h>

#include "mta/daemon/read_file.h"

namespace rockdove::daemon {
namespace {

constexpr std::size_t kFileOctetsMax = 1024 * 1024;
constexpr base::Duration kLookEach = std::chrono::seconds(1);

// Up to the next colon, which is dropped.
std::string_view take_field(std::string_view& line) {
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  line.remove_prefix(colon == std::string_view::npos ? line.size() : colon + 1);
  return field;
}

}  // namespace

std::string UserNames::of(std::uint32_t user, base::Instant now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (now >= look_again_) {
    look_again_ = now + kLookEach;
    read();
  }
  const auto found = names_.find(user);
  return found == names_.end() ? std::string() : found->second;
}

void UserNames::read() {
  struct stat status = {};
  if (::stat(path_.c_str(), &status) != 0) return;
  const std::int64_t changed = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  if (changed == changed_) return;
  const base::Result<std::optional<std::string>> text = read_file(path_, kFileOctetsMax);
  if (!text || !*text) return;
  changed_ = changed;
  names_.clear();
  for (std::string_view rest = **text; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    const std::string_view name = take_field(line);
    take_field(line);
    const std::string_view number = take_field(line);
    std::uint32_t user = 0;
    const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), user);
    if (error == std::errc() && stop == number.data() + number.size() && !name.empty())
      names_.emplace(user, name);  // the first of several counts, as for getpwuid()
  }
}

}  // namespace rockdove::daemon
