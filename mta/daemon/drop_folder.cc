#include "mta/daemon/drop_folder.h"

#include <algorithm>
#include <cerrno>
#include <unistd.h>
#include <utility>

#include "mta/base/text.h"
#include "queue/change.h"

namespace rockdove::daemon {
namespace {

constexpr base::Duration kSilentEach = std::chrono::hours(1);
constexpr base::Duration kSoon = std::chrono::milliseconds(100);
constexpr base::Duration kNextPart = std::chrono::seconds(1);

base::Result<std::string> read_at(int file, std::uint64_t offset, std::size_t octets) {
  std::string piece(octets, '\0');
  std::size_t filled = 0;
  while (filled < octets) {
    const ssize_t count =
        ::pread(file, piece.data() + filled, octets - filled, static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::Error::system("reading it", errno);
    if (count == 0) return base::Error("it became shorter while it was read");
    filled += static_cast<std::size_t>(count);
  }
  return piece;
}

}  // namespace

// A file on its way into the queue.
struct DropFolder::Taking {
  std::uint32_t user = 0;
  std::shared_ptr<net::FileDescriptor> file;  // the disk's thread may still read
  std::uint64_t offset = 0;                   // of what is read next
  std::uint64_t left = 0;
  std::unique_ptr<inbound::Submission> submission;
};

DropFolder::DropFolder(Parts parts, const std::string& state_dir)
    : parts_(std::move(parts)),
      scan_(std::make_shared<DropScan>(drop_folder_path(state_dir))),
      self_(std::make_shared<DropFolder*>(this)) {}

DropFolder::~DropFolder() {
  *self_ = nullptr;
}

void DropFolder::start() {
  timer_ = parts_.loop.make_timer([this] { look(); });
  look();
}

void DropFolder::stop() {
  stopping_ = true;
  timer_.reset();
  ready_.clear();
  for (const auto& [name, taking] : taking_) {
    if (taking->submission != nullptr) taking->submission->turn();
  }
}

void DropFolder::settings_replaced() {
  odd_.clear();
  odd_for_now_.clear();
}

void DropFolder::set_timer() {
  if (stopping_) return;
  const base::Duration wait = has_progressed_ ? kSoon : has_more_ ? kNextPart : kLookEach;
  timer_->set(parts_.loop.now().instant + wait);
}

void DropFolder::look() {
  if (stopping_ || looking_) return;
  looking_ = true;
  has_progressed_ = false;
  not_now_.clear();
  odd_lines_ = 0;
  odd_silent_ = 0;
  DropLimits limits;
  limits.content_octets_max = parts_.content_octets_max();
  std::set<std::string> known = odd_;
  known.insert(removing_.begin(), removing_.end());
  for (const auto& [name, taking] : taking_) known.insert(name);
  const bool posted =
      parts_.disk.post([scan = scan_, limits, known = std::move(known),
                        now = parts_.loop.now().wall, &loop = parts_.loop, self = self_] {
        auto found = std::make_shared<base::Result<DropLook>>(scan->look(
            limits, now, [&known](const std::string& name) { return known.contains(name); }));
        loop.post([self, found] {
          if (*self != nullptr) (*self)->looked(std::move(*found));
        });
      });
  if (posted) return;
  looking_ = false;
  set_timer();
}

void DropFolder::looked(base::Result<DropLook> found) {
  if (!found) {
    looking_ = false;
    has_more_ = false;
    parts_.log.line(base::Level::Error, "what sendmail left cannot be looked at")
        .field("error", found.error().text());
    return set_timer();
  }
  has_more_ = !found->is_whole;
  for (const OddFile& file : found->odd) stays(file);
  const base::Instant now = parts_.loop.now().instant;
  if (odd_silent_ > 0 &&
      (silent_told_ == base::Instant::min() || now - silent_told_ > kSilentEach)) {
    silent_told_ = now;
    parts_.log.line(base::Level::Warning, "more files stay in the folder of sendmail")
        .field("count", odd_silent_);
  }
  ready_ = std::move(found->ready);
  if (stopping_) return ready_.clear();
  if (ready_.empty() && has_cleaned_) {
    looking_ = false;
    return set_timer();
  }
  parts_.store.read_notes(parts_.loop, std::string(inbound::kDroppedNotes),
                          [self = self_](base::Result<std::vector<queue::NotedRow>> rows) {
                            if (*self != nullptr) (*self)->notes_read(std::move(rows));
                          });
}

void DropFolder::notes_read(base::Result<std::vector<queue::NotedRow>> rows) {
  looking_ = false;
  if (!rows) {
    ready_.clear();
    parts_.log.line(base::Level::Error, "what sendmail left cannot be taken in")
        .field("error", rows.error().text());
    has_more_ = false;
    return set_timer();
  }
  for (const queue::NotedRow& row : *rows) {
    if (taking_.contains(row.name) || removing_.contains(row.name)) continue;
    std::erase_if(ready_, [&row](const DroppedMail& mail) { return mail.name == row.name; });
    remove_noted(row.name);
  }
  has_cleaned_ = true;
  go_on();
}

void DropFolder::go_on() {
  while (!stopping_ && !ready_.empty() && taking_.size() < kAtOnceMax) {
    DroppedMail mail = std::move(ready_.back());
    ready_.pop_back();
    if (!not_now_.contains(mail.user)) take(std::move(mail));
  }
  if (taking_.empty() && ready_.empty() && !looking_) set_timer();
}

void DropFolder::take(DroppedMail mail) {
  const std::string name = mail.name;
  auto taking = std::make_unique<Taking>();
  taking->user = mail.user;
  taking->file = std::make_shared<net::FileDescriptor>(std::move(mail.file));
  taking->offset = mail.envelope.octets;
  taking->left = mail.envelope.envelope.octets;
  inbound::Submission::Handlers handlers;
  handlers.content_wanted = [this, name] { read_piece(name); };
  handlers.done = [this, name](const inbound::SubmissionResult& result) { taken(name, result); };
  inbound::SubmittedFile file{name, {mail.user, mail.group, 0}, std::move(mail.envelope.envelope)};
  taking->submission = parts_.submit(std::move(file), std::move(handlers));
  inbound::Submission& submission = *taking->submission;
  taking_[name] = std::move(taking);
  submission.begin();
}

void DropFolder::read_piece(const std::string& name) {
  Taking& taking = *taking_.at(name);
  const std::size_t octets =
      static_cast<std::size_t>(std::min<std::uint64_t>(kPieceOctets, taking.left));
  const bool posted = parts_.disk.post([file = taking.file, offset = taking.offset, octets, name,
                                        &loop = parts_.loop, self = self_] {
    auto piece =
        std::make_shared<base::Result<std::string>>(read_at(file->number(), offset, octets));
    loop.post([self, name, piece] {
      if (*self != nullptr) (*self)->piece_read(name, std::move(*piece));
    });
  });
  if (posted) return;
  parts_.loop.post([name, self = self_] {
    if (*self != nullptr && (*self)->taking_.contains(name)) (*self)->end_of(name);
  });
}

void DropFolder::piece_read(const std::string& name, base::Result<std::string> piece) {
  const auto found = taking_.find(name);
  if (found == taking_.end() || found->second->submission == nullptr) return;
  Taking& taking = *found->second;
  if (!piece) {
    stays({name, taking.user, piece.error().text(), OddFile::Stays::ForGood});
    return end_of(name);
  }
  taking.offset += piece->size();
  taking.left -= piece->size();
  taking.submission->give_content(*piece,
                                  taking.left == 0 ? smtp::BodyLast::Yes : smtp::BodyLast::No);
}

void DropFolder::taken(const std::string& name, const inbound::SubmissionResult& result) {
  const std::uint32_t user = taking_.at(name)->user;
  switch (result.how) {
    case inbound::SubmissionResult::How::Accepted:
      has_progressed_ = true;
      remove_noted(name);
      break;
    case inbound::SubmissionResult::How::NotNow:
      not_now_.insert(user);
      parts_.log.line(base::Level::Debug, "what sendmail left is taken later")
          .field("file", name)
          .field("uid", user)
          .field("reply", result.text);
      break;
    case inbound::SubmissionResult::How::Refused:
      stays({name, user, "it was refused: " + result.text, OddFile::Stays::ForGood});
      break;
  }
  end_of(name);
}

void DropFolder::end_of(const std::string& name) {
  taking_.erase(name);
  go_on();
}

// The file is in the queue, and its name is noted there.
void DropFolder::remove_noted(const std::string& name) {
  const bool posted = parts_.disk.post([scan = scan_, name, &loop = parts_.loop, self = self_] {
    loop.post([self, name, result = scan->remove(name)] {
      if (*self != nullptr) (*self)->removed(name, result);
    });
  });
  if (posted) removing_.insert(name);  // else the next look finds it again, and its note
}

void DropFolder::removed(const std::string& name, const base::Result<void>& result) {
  removing_.erase(name);
  if (!result) {
    // The note keeps it from being taken again.
    return stays({name, 0, "it is in the queue, but cannot be removed: " + result.error().text(),
                  OddFile::Stays::ForGood});
  }
  // The store writes it again until it is durable. If we end before, the next start does this.
  parts_.store.commit(parts_.loop, queue::noted(inbound::kDroppedNotes, name, ""),
                      [](const base::Result<void>&) {});
}

void DropFolder::stays(const OddFile& file) {
  std::set<std::string>& named = file.stays == OddFile::Stays::ForGood ? odd_ : odd_for_now_;
  if (named.size() >= kOddNamesMax || odd_lines_ >= kOddLinesMax) {
    if (!named.contains(file.name)) ++odd_silent_;
    return;
  }
  if (!named.insert(file.name).second) return;
  ++odd_lines_;
  parts_.log.line(base::Level::Warning, "a file stays in the folder of sendmail")
      .field("file", base::printable(file.name, 64))
      .field("uid", file.user)
      .field("reason", file.why);
}

}  // namespace rockdove::daemon
