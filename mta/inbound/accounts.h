// Logins against the accounts file (accounts_file.h). One a process.
//
// Everything here belongs to one loop, its home: other loops post to it and get a post back. Hashes
// are made on the workers, a few at once; the others wait here, up to a limit, and equal ones wait
// together. A login that was good within the hour is known again by a keyed digest, because a
// printer logs in anew for each of its hundred messages; the key is of this process only. The file
// is looked at before a login when the last look was a second ago: an account that was removed is
// gone at once. When it has become bad, the accounts stay as they were.
//
// Unknown users cost a hash like known ones, so that time does not tell who exists. What failures
// cost is login_throttle.h's. Refusals are logged with user and client, for people and for
// fail2ban; passwords never are, and are overwritten after use.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/base/workers.h"
#include "mta/crypto/digest.h"
#include "mta/inbound/accounts_file.h"
#include "mta/inbound/authenticator.h"
#include "mta/inbound/login_throttle.h"
#include "mta/inbound/recent_map.h"

namespace rockdove::inbound {

class Accounts final : public Authenticator {
 public:
  struct Parts {
    base::Loop& home;
    // Ends before the Accounts, and these outlive the loop's last turn.
    base::Workers& workers;
    base::Log& log;  // the home loop's
    LoginLimits limits = {};
  };

  // `table` is what the file at `path` says; null: not known yet, the first login reads it.
  Accounts(const Parts& parts, std::string path, std::shared_ptr<const AccountTable> table);
  Accounts(const Accounts&) = delete;
  Accounts& operator=(const Accounts&) = delete;

  void check(base::Loop& loop, Login login, Done done) override;

  // From any thread, at a reload: the file may be another one from now on.
  void reload(std::string path);

 private:
  // One check() that has no answer yet.
  struct Question {
    base::Loop* loop;
    Login login;
    Done done;
    crypto::Digest digest;  // of user and password
    base::Instant give_up;  // unless it is being hashed by then
  };

  // One hash to make; questions with the same user and password share it.
  struct Job {
    std::vector<Question> questions;
    base::IpAddress client;  // of the first
    bool is_running = false;
  };

  struct DigestHash {
    std::size_t operator()(const crypto::Digest& digest) const;
  };

  enum class Reason : std::uint8_t {
    NoSuchUser,
    WrongPassword,
    TooManyFailures,
    TooManyWaiting,
    Unreadable
  };

  void arrived(Question question);
  void look_at_file();
  void file_read(base::Result<std::shared_ptr<const AccountTable>> table);
  void file_looked_at();
  void decide(Question question);
  void enqueue(Question question);
  void start_hashes();
  bool start_hash(const crypto::Digest& digest, Job& job);
  void hash_done(const crypto::Digest& digest, std::shared_ptr<const AccountTable> table,
                 const base::Result<bool>& matches);
  void refuse(Question question, Reason reason);
  void finish(Question& question, LoginVerdict verdict);
  void log_refusal(const Login& login, Reason reason);
  void at(base::Instant time, base::Task task);
  void wake();
  void give_up_waiting(base::Instant now);

  base::Loop& home_;
  base::Workers& workers_;
  base::Log& log_;
  crypto::Digest key_;
  LoginThrottle throttle_;
  RecentMap<crypto::Digest, base::Instant, DigestHash> known_;  // until when

  std::string path_;
  std::shared_ptr<const AccountTable> table_;
  std::optional<FileStamp> seen_;  // of the content that was read last, good or bad
  std::string last_error_;         // of the file; "": it is good
  bool looking_ = false;           // a worker looks at it
  base::Instant look_again_ = base::Instant::min();
  std::deque<Question> held_;  // until the file has been looked at

  std::unordered_map<crypto::Digest, Job, DigestHash> jobs_;
  std::deque<crypto::Digest> waiting_;                    // jobs, in order
  std::unordered_map<base::IpAddress, unsigned> checks_;  // jobs of a client
  unsigned running_ = 0;
  std::size_t questions_ = 0;

  std::multimap<base::Instant, base::Task> timed_;
  std::unique_ptr<base::Timer> timer_;
};

}  // namespace rockdove::inbound
