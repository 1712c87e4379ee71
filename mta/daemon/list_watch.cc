#include "mta/daemon/list_watch.h"

#include <algorithm>
#include <utility>

namespace rockdove::daemon {
namespace {

// Files that have changed just before the configuration was read are read once more: whether that
// was before or after, nobody can tell.
constexpr base::Duration kDoubt = std::chrono::minutes(1);

constexpr policy::AddressLists policy::ClientPolicy::*kLists[] = {
    &policy::ClientPolicy::allow, &policy::ClientPolicy::block,
    &policy::ClientPolicy::dmarc_exempt};

}  // namespace

void ListWatch::start() {
  timer_ = parts_.loop.make_timer([this] { look(); });
  watch_files();
}

void ListWatch::settings_replaced(policy::ClientPolicyPointer policy) {
  policy_ = std::move(policy);
  if (timer_ != nullptr) watch_files();
}

void ListWatch::stop() {
  timer_.reset();
}

void ListWatch::watch_files() {
  std::vector<std::string> paths;
  if (policy_ != nullptr) {
    for (const auto lists : kLists) {
      for (const policy::AddressLists::File& file : ((*policy_).*lists).files) {
        if (std::find(paths.begin(), paths.end(), file.path) == paths.end())
          paths.push_back(file.path);
      }
    }
  }
  files_.reset();
  if (paths.empty()) return timer_->set(base::kNever);
  files_ = std::make_shared<ListFiles>(std::move(paths), parts_.loop.now().wall - kDoubt);
  look();
}

void ListWatch::look() {
  timer_->set(parts_.loop.now().instant + kLookEach);
  if (is_looking_ || files_ == nullptr) return;
  is_looking_ = disk_.post([this, files = files_, &loop = parts_.loop] {
    auto found = std::make_shared<ListFiles::Found>(files->look());
    loop.post([this, files, found] { looked(files, *found); });
  });
}

void ListWatch::looked(const std::shared_ptr<ListFiles>& files, ListFiles::Found& found) {
  is_looking_ = false;
  // Of another configuration, or too late.
  if (files != files_ || timer_ == nullptr) return;
  for (const ListFiles::Line& line : found.lines) {
    parts_.log.line(line.level, "a list was not read again")
        .field("file", line.path)
        .field("error", line.text);
  }
  if (found.lists.empty()) return;
  auto next = std::make_shared<policy::ClientPolicy>(*policy_);
  for (const policy::AddressLists::File& read : found.lists) {
    for (const auto lists : kLists) {
      for (policy::AddressLists::File& file : ((*next).*lists).files) {
        if (file.path == read.path) file.list = read.list;
      }
    }
    parts_.log.line(base::Level::Info, "a list was read again")
        .field("file", read.path)
        .field("entries", read.list->size());
  }
  policy_ = std::move(next);
  parts_.use(policy_);
}

}  // namespace rockdove::daemon
