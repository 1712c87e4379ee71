#include "mta/outbound/maildir.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <sys/stat.h>

#include "mta/base/text.h"
#include "mta/mail/headers.h"

namespace rockdove::outbound {
namespace {

constexpr std::size_t kPendingMax = 256 * 1024;
constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;

MaildirError failed(std::string what, int code) {
  return {code == 0 ? EIO : code, std::move(what), false};
}

// The folder's entries are durable afterwards.
int sync_folder(const std::string& path) {
  const net::FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return errno;
  return ::fsync(folder.number()) == 0 ? 0 : errno;
}

// Does not follow a link that somebody else may have put there.
bool is_folder(const std::string& path) {
  struct stat facts {};

  return ::lstat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode);
}

std::string with_lf(std::string_view crlf) {
  std::string text;
  text.reserve(crlf.size());
  for (std::size_t at = 0; at < crlf.size();) {
    const std::size_t cr = std::min(crlf.find("\r\n", at), crlf.size());
    text.append(crlf, at, cr - at);
    at = cr;
    if (at == crlf.size()) break;
    text.push_back('\n');
    at += 2;
  }
  return text;
}

}  // namespace

std::string maildir_name(base::WallTime now, std::uint64_t count, std::string_view host_name) {
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  std::string name = std::to_string(micros / 1'000'000) + ".M" +
                     std::to_string(micros % 1'000'000) + "P" + std::to_string(::getpid()) + "Q" +
                     std::to_string(count) + ".";
  for (const char c : host_name) {
    if (c == '/') {
      name += "\\057";
    } else if (c == ':') {
      name += "\\072";
    } else {
      name += c;
    }
  }
  return name;
}

MaildirFile::MaildirFile(std::string folder, std::string name)
    : folder_(std::move(folder)), name_(std::move(name)) {}

MaildirFile::~MaildirFile() {
  if (exists_) ::unlink(temporary_path().c_str());
}

MaildirError MaildirFile::make_folders() {
  if (::mkdir(folder_.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    const int code = errno;
    return failed("cannot create the maildir " + folder_, code);
  }
  for (const char* below : {"/tmp", "/new", "/cur"}) {
    const std::string path = folder_ + below;
    if (::mkdir(path.c_str(), kFolderMode) != 0 && errno != EEXIST) {
      const int code = errno;
      return failed("cannot create " + path, code);
    }
    if (!is_folder(path)) return failed(path + " is no folder", ENOTDIR);
  }
  if (const int code = sync_folder(folder_); code != 0)
    return failed("cannot make " + folder_ + " durable", code);
  // And its own name, in the folder above it.
  const std::size_t slash = folder_.rfind('/');
  static_cast<void>(sync_folder(slash == 0 ? "/" : folder_.substr(0, slash)));
  return {};
}

MaildirError MaildirFile::create() {
  const std::string path = temporary_path();
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  file_ = net::FileDescriptor(::open(path.c_str(), kFlags, kFileMode));
  if (!file_.is_open() && (errno == ENOENT || errno == ENOTDIR)) {
    if (MaildirError error = make_folders(); !error.is_none()) return error;
    file_ = net::FileDescriptor(::open(path.c_str(), kFlags, kFileMode));
  }
  if (!file_.is_open()) {
    const int code = errno;
    return failed("cannot create " + path, code);
  }
  exists_ = true;
  return {};
}

MaildirError MaildirFile::write(std::string_view octets) {
  if (!exists_) {
    if (MaildirError error = create(); !error.is_none()) return error;
  }
  if (octets.empty()) return {};
  if (std::exchange(ends_in_cr_, false) && octets.front() != '\n') pending_.push_back('\r');
  ends_in_cr_ = octets.back() == '\r';
  if (ends_in_cr_) octets.remove_suffix(1);
  pending_ += with_lf(octets);
  return pending_.size() < kPendingMax ? MaildirError() : flush();
}

MaildirError MaildirFile::flush() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_.number(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int code = errno;
      return failed("cannot write to " + temporary_path(), code);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  pending_.clear();
  return {};
}

MaildirError MaildirFile::finish() {
  if (!exists_) {
    if (MaildirError error = create(); !error.is_none()) return error;
  }
  if (std::exchange(ends_in_cr_, false)) pending_.push_back('\r');
  if (MaildirError error = flush(); !error.is_none()) return error;
  if (::fsync(file_.number()) != 0) {
    const int code = errno;
    return failed("cannot make " + temporary_path() + " durable", code);
  }
  // Some file systems tell of a full disk, or quota, only here.
  if (::close(file_.release()) != 0 && errno != EINTR) {
    const int code = errno;
    return failed("cannot close " + temporary_path(), code);
  }
  return link_into_new();
}

MaildirError MaildirFile::link_into_new() {
  const std::string from = temporary_path();
  const std::string to = folder_ + "/new/" + name_;
  // A link never replaces a file that is there. Where the file system has no links: the name is
  // unique, so a rename replaces nothing either.
  if (::link(from.c_str(), to.c_str()) == 0) {
    ::unlink(from.c_str());
  } else if (errno == EEXIST || ::rename(from.c_str(), to.c_str()) != 0) {
    const int code = errno;
    return failed("cannot put the message at " + to, code);
  }
  exists_ = false;
  if (const int code = sync_folder(folder_ + "/new"); code != 0)
    return {code, "cannot make " + to + " durable", true};
  return {};
}

MaildirAdvice advice_on(const MaildirError& error, std::string_view folder) {
  MaildirAdvice advice;
  advice.text = error.what + ": " + base::lower_case(std::generic_category().message(error.code));
  switch (error.code) {
    case ENOSPC:
    case EDQUOT:
      advice.code = 452;
      advice.enhanced = "4.3.1";  // RFC 3463 §3.4: mail system full
      advice.text += "; free some space there, or raise the quota";
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      advice.enhanced = "4.3.5";  // RFC 3463 §3.4: system incorrectly configured
      advice.text += "; the user that rockdove runs as must be allowed to write to " +
                     std::string(folder) + ", and systemd must allow it (ReadWritePaths=)";
      break;
    case ENOENT:
      advice.enhanced = "4.3.5";
      advice.text += "; create the folder above it";
      break;
    case ENOTDIR:
    case ELOOP:
      advice.enhanced = "4.3.5";
      advice.text += "; the route's path must be a maildir, or not exist yet";
      break;
    default:
      advice.enhanced = "4.3.0";
      break;
  }
  return advice;
}

std::string final_header(std::string_view sender, std::string_view recipient,
                         std::string_view header_block) {
  std::string header;
  header.reserve(header_block.size() + sender.size() + recipient.size() + 64);
  header.append("Return-Path: <").append(sender).append(">\r\n");
  header.append("Delivered-To: ").append(recipient).append("\r\n");
  std::size_t kept = 0;
  for (const mail::HeaderField& field : mail::HeaderFields(header_block)) {
    if (!field.is("Return-Path")) continue;
    // RFC 5321 §4.4: there is one, and it is ours.
    const auto at = static_cast<std::size_t>(field.whole.data() - header_block.data());
    header.append(header_block, kept, at - kept);
    kept = at + field.whole.size();
  }
  header.append(header_block, kept);
  return header;
}

}  // namespace rockdove::outbound
