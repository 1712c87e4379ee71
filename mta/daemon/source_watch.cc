#include "mta/daemon/source_watch.h"

#include <algorithm>
#include <utility>

namespace rockdove::daemon {
namespace {

std::vector<std::shared_ptr<const outbound::Source>> sources_of(
    const std::vector<outbound::SourcePool>& pools) {
  std::vector<std::shared_ptr<const outbound::Source>> sources;
  for (const outbound::SourcePool& pool : pools) {
    for (const outbound::SourcePool::Member& member : pool.members) {
      const auto is_same = [&member](const auto& source) {
        return source->address == member.source->address;
      };
      if (std::none_of(sources.begin(), sources.end(), is_same)) sources.push_back(member.source);
    }
  }
  return sources;
}

}  // namespace

SourceWatch::SourceWatch(Parts parts, const std::vector<outbound::SourcePool>& pools)
    : parts_(std::move(parts)),
      sources_(sources_of(pools)),
      absent_(std::make_shared<const outbound::AbsentAddresses>()) {}

void SourceWatch::start() {
  timer_ = parts_.loop.make_timer([this] { look(); });
  look();
}

void SourceWatch::settings_replaced(const std::vector<outbound::SourcePool>& pools) {
  sources_ = sources_of(pools);
  if (timer_ != nullptr) look();
}

void SourceWatch::look() {
  if (sources_.empty()) {
    timer_->set(base::kNever);
  } else {
    timer_->set(parts_.loop.now().instant + kLookEach);
  }
  outbound::AbsentAddresses absent;
  for (const auto& source : sources_) {
    const bool is_here = parts_.is_here(source->address);
    const bool was_here = !absent_->contains(source->address);
    if (!is_here) absent.insert(source->address);
    if (!is_here && was_here) warn(*source);
    if (is_here && !was_here) {
      parts_.log.line(base::Level::Info, "the source address is on this machine again")
          .field("source", source->name)
          .field("address", base::format_ip_address(source->address));
    }
  }
  if (absent == *absent_) return;
  absent_ = std::make_shared<const outbound::AbsentAddresses>(std::move(absent));
  parts_.use(absent_);
}

void SourceWatch::warn(const outbound::Source& source) {
  parts_.log
      .line(base::Level::Warning,
            "the source address is not on this machine; it is set aside until it is: mail of its "
            "pools goes from their other sources, or waits where there are none. Put it on an "
            "interface, or take the source out")
      .field("source", source.name)
      .field("address", base::format_ip_address(source.address));
}

}  // namespace rockdove::daemon
