#include "mta/cli/sink_log.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace rockdove::cli {
namespace {

constexpr std::size_t kGatheredOctets = 64 * 1024;

}  // namespace

SinkLog::~SinkLog() {
  flush();
  if (file_ >= 0) ::close(file_);
}

base::Result<void> SinkLog::open(const std::string& path) {
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file_ < 0) return base::Error::system("making " + path, errno);
  lines_ = "time,provider,verdict,stage,recipient\n";
  return {};
}

void SinkLog::begin_at(base::Instant now) {
  if (!has_begun()) begin_ = now;
}

base::Duration SinkLog::time(base::Instant now) const {
  if (!has_begun()) return base::Duration(0);
  return std::chrono::duration_cast<base::Duration>(now - begin_);
}

void SinkLog::add(base::Instant now, std::string_view provider, std::string_view verdict,
                  SinkStage stage, std::string_view recipient) {
  if (file_ < 0) return;
  const std::chrono::duration<double> time = now - begin_;
  std::array<char, 32> digits{};
  const int length = std::snprintf(digits.data(), digits.size(), "%.6f", time.count());
  lines_.append(digits.data(), static_cast<std::size_t>(length)).append(1, ',').append(provider);
  lines_.append(1, ',').append(verdict).append(1, ',').append(stage_name(stage)).append(1, ',');
  lines_.append(recipient).append(1, '\n');
  if (lines_.size() >= kGatheredOctets) flush();
}

void SinkLog::flush() {
  const std::string lines = std::exchange(lines_, {});
  std::string_view rest = file_ < 0 ? std::string_view() : lines;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      if (!std::exchange(has_failed_, true)) std::perror("rockdove sink: writing the log");
      return;
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace rockdove::cli
