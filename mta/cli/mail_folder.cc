#include "mta/cli/mail_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <map>
#include <unistd.h>
#include <utility>

#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>

#include "mta/base/utf8.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kEnvelopeEnd = ".json";
constexpr std::string_view kContentEnd = ".eml";
constexpr int kIndent = 2;
// Files that are made durable together: of many, the first one's sync writes the others' as well.
constexpr std::size_t kPartsMax = 256;

std::string part_name(const std::string& name) {
  return "." + name + ".part";
}

Result<net::FileDescriptor> open_folder(const std::string& path) {
  net::FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return Error::system("opening the folder " + path, errno);
  return folder;
}

Result<std::string> read_some(int file, std::size_t octets_max, const std::string& name) {
  std::string octets(octets_max, '\0');
  for (;;) {
    const ssize_t count = ::read(file, octets.data(), octets.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::system("reading " + name, errno);
    octets.resize(static_cast<std::size_t>(count));
    return octets;
  }
}

// As it stands in its file, checked on the way.
class FileContent final : public ContentSource {
 public:
  FileContent(net::FileDescriptor file, std::string name, std::uint64_t size, std::string digest)
      : file_(std::move(file)), name_(std::move(name)), size_(size), digest_(std::move(digest)) {}

  [[nodiscard]] std::uint64_t size() const override { return size_; }

  [[nodiscard]] Result<std::string> read(std::size_t octets_max) override {
    const std::uint64_t left = size_ - read_;
    if (left == 0) return std::string();
    Result<std::string> octets = read_some(
        file_.number(), static_cast<std::size_t>(std::min<std::uint64_t>(left, octets_max)), name_);
    if (!octets) return octets;
    if (octets->empty()) return Error(name_ + " became shorter while it was read");
    read_ += octets->size();
    sum_.add(*octets);
    if (read_ < size_ || digest_.empty()) return octets;
    if (crypto::format_digest(sum_.finish()) == digest_) return octets;
    return Error(name_ +
                 " has other octets than its envelope says: it is damaged or was edited (--edited "
                 "takes it as it is)");
  }

 private:
  const net::FileDescriptor file_;
  const std::string name_;
  const std::uint64_t size_;
  const std::string digest_;
  std::uint64_t read_ = 0;
  crypto::Sha256 sum_;
};

class TextContent final : public ContentSource {
 public:
  explicit TextContent(std::string text) : text_(std::move(text)) {}

  [[nodiscard]] std::uint64_t size() const override { return text_.size(); }

  [[nodiscard]] Result<std::string> read(std::size_t octets_max) override {
    std::string octets = text_.substr(read_, octets_max);
    read_ += octets.size();
    return octets;
  }

 private:
  const std::string text_;
  std::size_t read_ = 0;
};

// Each line feed alone becomes a line end. An error for what no mail has.
Result<std::string> with_line_ends(std::string_view octets) {
  if (octets.find('\0') != std::string_view::npos) return Error("it has zero octets");
  std::string text;
  text.reserve(octets.size() + octets.size() / 32);
  while (!octets.empty()) {
    const std::size_t end = octets.find('\n');
    std::string_view line = octets.substr(0, end);
    octets.remove_prefix(end == std::string_view::npos ? octets.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find('\r') != std::string_view::npos) {
      return Error("it has carriage returns without a line feed");
    }
    text.append(line).append("\r\n");
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<MailFolderWriter>> MailFolderWriter::open(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::system("making the folder " + path, errno);
  }
  Result<net::FileDescriptor> folder = open_folder(path);
  if (!folder) return folder.error();
  // Of two at once, one would take away what the other has begun. Not every file system has locks.
  if (::flock(folder->number(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return Error("another command is writing to the folder " + path);
  }
  return std::unique_ptr<MailFolderWriter>(new MailFolderWriter(*std::move(folder)));
}

Result<MailFolderWriter::Part> MailFolderWriter::begin(const std::string& name) {
  struct stat found {};

  const bool is_there =
      ::fstatat(folder_.number(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 ||
      std::any_of(parts_.begin(), parts_.end(),
                  [&name](const Part& one) { return one.name == name; });
  if (is_there) return Error("a file " + name + " is there already");
  const std::string part = part_name(name);
  ::unlinkat(folder_.number(), part.c_str(), 0);  // of an export that was cut off
  net::FileDescriptor file(::openat(folder_.number(), part.c_str(),
                                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) return Error::system("making " + part, errno);
  return Part{std::move(file), name};
}

Result<void> MailFolderWriter::write(const Part& part, std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t count = ::write(part.file.number(), octets.data(), octets.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::system("writing", errno);
    octets.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::string> MailFolderWriter::write_content(const Part& part, std::uint64_t octets,
                                                    const Content& content) {
  crypto::Sha256 sum;
  std::uint64_t written = 0;
  Result<void> kept;
  const Result<void> read = content([&](std::string_view piece) {
    sum.add(piece);
    written += piece.size();
    if (kept) kept = write(part, piece);
  });
  if (!read) return read.error();
  if (!kept) return kept.error();
  if (written != octets) {
    return Error("its content has " + std::to_string(written) + " octets, not " +
                 std::to_string(octets));
  }
  return crypto::format_digest(sum.finish());
}

void MailFolderWriter::remove(const Part& part) {
  ::unlinkat(folder_.number(), part_name(part.name).c_str(), 0);
}

Result<void> MailFolderWriter::finish(const Part& part) {
  const std::string before = part_name(part.name);
  const int folder = folder_.number();
  if (::fsync(part.file.number()) != 0) return Error::system("syncing " + before, errno);
  if (::renameat2(folder, before.c_str(), folder, part.name.c_str(), RENAME_NOREPLACE) == 0) {
    return {};
  }
  // Not every file system knows how not to replace; begin() has looked.
  if (errno == EINVAL && ::renameat(folder, before.c_str(), folder, part.name.c_str()) == 0) {
    return {};
  }
  return Error::system("renaming " + before, errno);
}

// Of a message the content comes first: where it fails, the envelope may get its name, and says
// what is missing.
Result<void> MailFolderWriter::settle() {
  Result<void> settled;
  for (const Part& part : std::exchange(parts_, {})) {
    Result<void> done = finish(part);
    if (done) continue;
    remove(part);
    if (settled) settled = std::move(done);
  }
  return settled;
}

Result<void> MailFolderWriter::put(std::string_view envelope, const Content& content) {
  Json json = Json::parse(envelope, nullptr, /*allow_exceptions=*/false);
  const bool is_whole = json.is_object() && json.contains("id") && json["id"].is_string() &&
                        json.contains("content") && json["content"].is_object() &&
                        json["content"].contains("octets") &&
                        json["content"]["octets"].is_number_unsigned();
  if (!is_whole) return Error("its envelope is not whole");
  const std::string id = json["id"].get<std::string>();
  if (!base::parse_message_id(id)) return Error("its envelope has no id");
  // What is there already is found before anything is written.
  Result<Part> about = begin(id + std::string(kEnvelopeEnd));
  if (!about) return about.error();
  Result<Part> mail = begin(id + std::string(kContentEnd));
  if (!mail) {
    remove(*about);
    return mail.error();
  }
  const Result<std::string> digest =
      write_content(*mail, json["content"]["octets"].get<std::uint64_t>(), content);
  Result<void> done;
  if (digest) {
    json["content"]["sha256"] = *digest;
    done = write(*about, json.dump(kIndent) + "\n");
  } else {
    done = digest.error();
  }
  if (!done) {
    remove(*mail);
    remove(*about);
    return done;
  }
  // Begins to write them, so that the sync finds little to do. It may fail, the sync may not.
  ::sync_file_range(mail->file.number(), 0, 0, SYNC_FILE_RANGE_WRITE);
  ::sync_file_range(about->file.number(), 0, 0, SYNC_FILE_RANGE_WRITE);
  parts_.push_back(*std::move(mail));
  parts_.push_back(*std::move(about));
  return parts_.size() < kPartsMax ? Result<void>() : settle();
}

Result<void> MailFolderWriter::put_text(const std::string& name, std::string_view text) {
  const Result<Part> part = begin(name);
  if (!part) return part.error();
  Result<void> done = write(*part, text);
  if (done) done = finish(*part);
  if (!done) remove(*part);
  return done;
}

Result<void> MailFolderWriter::sync() {
  Result<void> settled = settle();
  if (::fsync(folder_.number()) != 0) return Error::system("syncing the folder", errno);
  return settled;
}

Result<std::unique_ptr<MailFolderReader>> MailFolderReader::open(const std::string& path) {
  Result<net::FileDescriptor> folder = open_folder(path);
  if (!folder) return folder.error();
  return std::unique_ptr<MailFolderReader>(new MailFolderReader(*std::move(folder)));
}

Result<MailFolderReader::Names> MailFolderReader::names() {
  const int copy = ::openat(folder_.number(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (stream == nullptr) {
    const Error error = Error::system("reading the folder", errno);
    if (copy >= 0) ::close(copy);
    return error;
  }
  Names names;
  std::map<std::string, Pair> pairs;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream);  // NOLINT(concurrency-mt-unsafe): a stream of our own
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view end = name.substr(dot);
    const bool is_ours = end == kEnvelopeEnd || end == kContentEnd;
    const std::string id(name.substr(0, dot));
    if (!is_ours || !base::parse_message_id(id)) {
      ++names.others;
      continue;
    }
    Pair& pair = pairs[id];
    pair.id = id;
    (end == kEnvelopeEnd ? pair.has_envelope : pair.has_content) = true;
  }
  const int code = errno;
  ::closedir(stream);
  if (code != 0) return Error::system("reading the folder", code);
  for (auto& [id, pair] : pairs) names.pairs.push_back(std::move(pair));
  return names;
}

Result<std::pair<net::FileDescriptor, std::uint64_t>> MailFolderReader::open_file(
    const std::string& name, std::uint64_t octets_max) {
  // A pipe or device that somebody put there must not make us wait.
  net::FileDescriptor file(::openat(folder_.number(), name.c_str(),
                                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file.is_open()) {
    return errno == ELOOP ? Error(name + " is a link, and none is followed")
                          : Error::system("opening " + name, errno);
  }

  struct stat found {};

  if (::fstat(file.number(), &found) != 0) return Error::system("asking about " + name, errno);
  if (!S_ISREG(found.st_mode)) return Error(name + " is no regular file");
  const auto octets = static_cast<std::uint64_t>(found.st_size);
  if (octets > octets_max) {
    return Error(name + " has over " + std::to_string(octets_max) + " octets");
  }
  return std::pair(std::move(file), octets);
}

Result<admin::Envelope> MailFolderReader::read_envelope(const std::string& id) {
  const std::string name = id + std::string(kEnvelopeEnd);
  const auto file = open_file(name, admin::kEnvelopeOctetsMax);
  if (!file) return file.error();
  std::string text;
  for (;;) {
    const Result<std::string> piece = read_some(file->first.number(), 64 * 1024, name);
    if (!piece) return piece.error();
    if (piece->empty()) break;
    text += *piece;
    if (text.size() > admin::kEnvelopeOctetsMax) return Error(name + " grows while it is read");
  }
  Result<admin::Envelope> envelope = admin::parse_envelope(text);
  if (!envelope) return envelope.error().in(name);
  if (base::format_id(envelope->stored.message.id) != id) {
    return Error(name + " is the envelope of another message");
  }
  return envelope;
}

Result<std::unique_ptr<ContentSource>> MailFolderReader::open_content(
    const admin::Envelope& envelope) {
  const std::string name = base::format_id(envelope.stored.message.id) + std::string(kContentEnd);
  auto file = open_file(name, admin::kContentOctetsMax);
  if (!file) return file.error();
  const std::uint64_t octets = envelope.stored.header_octets + envelope.stored.message.body_octets;
  if (file->second != octets) {
    return Error(name + " has " + std::to_string(file->second) + " octets, its envelope says " +
                 std::to_string(octets) +
                 ": it is torn or was edited (--edited takes it as it is)");
  }
  if (envelope.sha256.empty()) return Error(name + ": its envelope has no SHA-256 of it");
  return std::unique_ptr<ContentSource>(
      std::make_unique<FileContent>(std::move(file->first), name, octets, envelope.sha256));
}

Result<std::unique_ptr<ContentSource>> MailFolderReader::open_edited(admin::Envelope& envelope) {
  const std::string name = base::format_id(envelope.stored.message.id) + std::string(kContentEnd);
  auto file = open_file(name, kEditedOctetsMax);
  if (!file) return file.error();
  FileContent content(std::move(file->first), name, file->second, "");
  std::string octets;
  while (octets.size() < content.size()) {
    const Result<std::string> piece = content.read(1024 * 1024);
    if (!piece) return piece.error();
    octets += *piece;
  }
  Result<std::string> text = with_line_ends(octets);
  if (!text) return text.error().in(name);
  const std::size_t end = text->find("\r\n\r\n");
  if (end == std::string::npos) return Error(name + " has no empty line behind its header");
  if (end + 4 > queue::kHeaderBlockOctetsMax) return Error(name + " has too large a header");
  queue::Message& message = envelope.stored.message;
  envelope.stored.header_octets = end + 4;
  message.body_octets = text->size() - envelope.stored.header_octets;
  message.body_chunks = queue::body_chunks_of(message.body_octets);
  message.eight_bit = !base::is_ascii(*text);
  envelope.sha256.clear();
  return std::unique_ptr<ContentSource>(std::make_unique<TextContent>(*std::move(text)));
}

}  // namespace rockdove::cli
