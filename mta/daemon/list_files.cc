#include "mta/daemon/list_files.h"

#include <cerrno>
#include <utility>

#include <sys/stat.h>

#include "mta/base/result.h"
#include "mta/daemon/read_file.h"

namespace rockdove::daemon {
namespace {

constexpr std::size_t kProblemsTold = 5;  // of a file

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// The error: the number of why not.
std::optional<FileStamp> stamp_of(const std::string& path, int& error) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    error = errno;
    return std::nullopt;
  }
  FileStamp stamp;
  stamp.device = status.st_dev;
  stamp.inode = status.st_ino;
  stamp.octets = static_cast<std::uint64_t>(status.st_size);
  stamp.modified = nanoseconds(status.st_mtim);
  stamp.changed = nanoseconds(status.st_ctim);
  return stamp;
}

std::string shown(const policy::ListProblem& problem) {
  return problem.line == 0 ? problem.text
                           : "line " + std::to_string(problem.line) + ": " + problem.text;
}

}  // namespace

ListFiles::ListFiles(std::vector<std::string> paths, base::WallTime before) : before_(before) {
  for (std::string& path : paths) files_.emplace_back().path = std::move(path);
}

ListFiles::Found ListFiles::look() {
  Found found;
  for (Watched& file : files_) look_at(file, found);
  is_first_ = false;
  return found;
}

void ListFiles::look_at(Watched& file, Found& found) {
  int error = 0;
  const std::optional<FileStamp> stamp = stamp_of(file.path, error);
  if (!stamp) {
    file.seen.reset();
    if (std::exchange(file.is_gone, true)) return;
    found.lines.push_back(
        {base::Level::Warning, file.path,
         base::Error::system("the list stays as it was read last", error).text()});
    return;
  }
  file.is_gone = false;
  if (is_first_) {
    const auto before =
        std::chrono::duration_cast<std::chrono::nanoseconds>(before_.time_since_epoch());
    if (stamp->changed < before.count()) file.in_use = stamp;
  }
  if (stamp == file.in_use || stamp == file.refused) {
    file.seen.reset();
  } else if (stamp != file.seen) {
    file.seen = stamp;  // it may still be written
  } else {
    read(file, *stamp, found);
  }
}

void ListFiles::read(Watched& file, const FileStamp& stamp, Found& found) {
  const auto refuse = [&](std::string why) {
    found.lines.push_back({base::Level::Error, file.path, std::move(why)});
    file.refused = stamp;
    file.seen.reset();
  };
  const base::Result<std::optional<std::string>> text =
      read_file(file.path, policy::kListOctetsMax);
  int error = 0;
  if (const auto after = stamp_of(file.path, error); after != stamp) {
    file.seen = after;  // changed while it was read
    return;
  }
  if (!text) return refuse(text.error().text());
  if (!text->has_value()) return;  // gone; the next look says so
  policy::ParsedList parsed = policy::parse_address_list(**text);
  if (parsed.list == nullptr) {
    std::string why;
    for (std::size_t i = 0; i < parsed.problems.size() && i < kProblemsTold; ++i)
      why.append(why.empty() ? "" : "; ").append(shown(parsed.problems[i]));
    const std::size_t all = parsed.problems.size() + parsed.problems_left_out;
    if (all > kProblemsTold)
      why.append("; and ").append(std::to_string(all - kProblemsTold)).append(" more");
    return refuse(std::move(why));
  }
  file.in_use = stamp;
  file.refused.reset();
  file.seen.reset();
  found.lists.push_back({file.path, std::move(parsed.list)});
}

}  // namespace rockdove::daemon
