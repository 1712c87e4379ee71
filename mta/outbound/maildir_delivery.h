// Takes one job into a maildir: a file a recipient, each with Return-Path and Delivered-To of its
// own (RFC 5321 §4.4), one after the other. The disk is touched only by FileThreads; large bodies
// are read from the queue piece by piece, as for SMTP.
//
// For outbound::Session, which it tells once what became of the job.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mta/base/unique_function.h"
#include "mta/outbound/file_threads.h"
#include "mta/outbound/maildir.h"
#include "mta/smtp/client_session.h"
#include "queue/scheduler.h"
#include "queue/store.h"

namespace rockdove::outbound {

class MaildirDelivery {
 public:
  struct Outcome {
    // One a recipient: success; the reply that defers it; or none, where the file is there but
    // perhaps not after a power cut, and `uncertain` says why.
    std::vector<smtp::RecipientResult> results;
    smtp::Reply uncertain;
    std::string read_error;  // the message could not be read from the queue; ends the job
  };

  // One step is the creation of a file, or the writing of a chunk or a kept body with all that
  // makes it last. A disk that takes longer hangs: the job is over then, and what it had not
  // finished never comes into new/, unless it was at that when the time was over, which is
  // `uncertain`.
  static constexpr base::Duration kStepTimeMax = std::chrono::minutes(5);

  using Done = base::UniqueFunction<void(Outcome)>;

  // The references and `job` outlive it. `host_name` is part of the files' names.
  MaildirDelivery(base::Loop& loop, queue::Store& store, FileThreads& threads, std::string folder,
                  std::string host_name, const queue::Job& job, Done done);
  // What is under way goes on unheard, and leaves nothing in new/ that it has not finished.
  ~MaildirDelivery();
  MaildirDelivery(const MaildirDelivery&) = delete;
  MaildirDelivery& operator=(const MaildirDelivery&) = delete;

  // `done` never runs within this call.
  void start();

 private:
  struct Step;

  void begin_recipient();
  void read_chunk();
  void write(std::shared_ptr<const std::string> octets, bool is_last);
  void step_done(const Step& step);
  void overdue();
  void drop_file();
  void finish();

  base::Loop& loop_;
  queue::Store& store_;
  FileThreads& threads_;
  const std::string folder_;
  const std::string host_name_;
  const queue::Job& job_;
  Done done_;
  Outcome outcome_;
  std::shared_ptr<MaildirFile> file_;
  std::string name_;
  std::string head_;  // of this recipient's file, until it is written
  std::uint32_t next_chunk_ = 0;
  std::shared_ptr<Step> step_;  // under way
  base::Instant step_until_ = base::kNever;
  std::unique_ptr<base::Timer> timer_;
  std::shared_ptr<MaildirDelivery*> self_;  // for what comes back when we are gone: then null
};

}  // namespace rockdove::outbound
