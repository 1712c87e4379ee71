// One outbound connection at work: it tries the hosts of a site in order, speaks SMTP or LMTP with
// the one that answers, in clear or with TLS as the site's manner says, and carries one job after
// the other until it is told to go, has been idle for a while, or breaks. For a site that is a
// maildir it has no connection: it writes files. Decides nothing about mail: what a failure means
// is queue/failure's word, and what follows from it is the owner's.
//
//   Connecting ──220, EHLO──▶ Working ──job done──▶ Idle ──start()──▶ Working …
//       │ next host                └──────────── lost, quit ───────────┴──▶ Gone
//
// With tls = "may" a host whose TLS does not work is spoken to in clear at once, in the same
// attempt, and for an hour from then on (broken_tls.h).
//
// The connection's protocol object belongs to the network and may outlive the session, to say QUIT.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/log.h"
#include "mta/net/network.h"
#include "mta/outbound/broken_tls.h"
#include "mta/outbound/file_threads.h"
#include "mta/outbound/maildir_delivery.h"
#include "mta/outbound/set_aside.h"
#include "mta/outbound/site.h"
#include "mta/outbound/tls_policy.h"
#include "mta/smtp/client_session.h"
#include "queue/failure.h"
#include "queue/scheduler.h"
#include "queue/sender_limits.h"
#include "queue/store.h"

namespace rockdove::outbound {

// What became of one delivery in this attempt.
struct DeliveryResult {
  enum class Kind : std::uint8_t { Delivered, TryAgainNow, Defer, DeferUncertain, Bounce };
  queue::Delivery delivery;
  Kind kind = Kind::Defer;
  mail::EnhancedCode status;
  smtp::Stage stage = smtp::Stage::Connect;
  std::string reply;       // one line: the peer's own text, or ours in the same form
  bool counted = true;     // this was an attempt; false: the environment did not let us try
  bool takes_dsn = false;  // the peer offers DSN: with Delivered, it has taken over NOTIFY
  bool is_answer = false;  // the peer said `reply`
  // That this answer matches; null: none. What it does is for outbound/teaching.h, which sets the
  // rest.
  std::shared_ptr<const traffic::Rule> rule{};
  bool has_rule_acted = false;
  bool wants_other_source = false;
  std::optional<base::Duration> retry_in{};       // none: by the schedule
  std::optional<base::Duration> retry_at_most{};  // or sooner than the schedule says
};

struct JobReport {
  queue::MessagePointer message;
  queue::QueueName queue;
  std::vector<DeliveryResult> results;
  std::string host;  // as describe(HostAddress); "" when none was reached
  base::Instant started;
  queue::Scheduler::Finish finish = queue::Scheduler::Finish::Refused;
  std::string reason;  // why the site is to blame, with Finish::SiteFailed
  std::string tls{};   // of the connection, as net::describe(TlsInfo); "" in clear or without one
  // The next hop is where mail ends (LMTP, maildir): what it took is in the mailbox.
  bool is_final_delivery = false;
  base::Duration setup{0};  // of its time: until the connection was ready for the message
  std::string source{};     // our address that it went from, where the site has a source; else ""
  std::string provider{};   // of the traffic profiles; "": none
};

// Which session, among all loops: the loop that owns its account, and the number it gave.
struct SessionKey {
  unsigned owner = 0;
  queue::SessionId id;
  auto operator<=>(const SessionKey&) const = default;
};

class Session;
class ClientProtocol;

// What sessions of one loop share.
struct SessionContext {
  base::Loop& loop;
  net::Network& network;
  queue::Store& store;
  base::Log& log;
  FileThreads& files;
  // Shared with protocols that outlive their session, to say QUIT.
  std::shared_ptr<const smtp::ClientOptions> options;
  std::uint32_t messages_per_connection = 100;
  base::Duration connect_timeout = std::chrono::seconds(30);
  base::Duration idle_timeout = std::chrono::seconds(5);
  BrokenTls broken_tls{};
  SetAside set_aside{};
  // Until then IPv6 addresses are passed over: there was no route (ENETUNREACH).
  base::Instant no_ipv6_until{};
  std::uint64_t sessions = 0;              // begun so far; spreads the load over equal hosts
  queue::SenderLimits* senders = nullptr;  // asked for each message; null: nobody is limited
};

class SessionListener {
 public:
  virtual ~SessionListener() = default;
  // Each may destroy the session, and is the last thing that the session does in its turn.
  virtual void job_done(Session& session, JobReport report,
                        queue::Scheduler::SessionAfter after) = 0;
  virtual void session_gone(Session& session) = 0;
  // It is ready for MAIL and may not send it now: the job waits, and it is idle. The grant is used
  // where MAIL was said for this job before, over a connection whose TLS broke.
  virtual void came_ready(Session& session, queue::Job job, queue::Scheduler::Grant grant) = 0;
};

class Session {
 public:
  static constexpr unsigned kConnectsPerJobMax = 6;
  // How long a connection of a site with a rate waits for its next message, if no profile says so.
  static constexpr base::Duration kIdlePaced = std::chrono::minutes(1);
  // From the connection to the first MAIL, whatever the peer says meanwhile.
  static constexpr base::Duration kGreetingTimeMax = std::chrono::minutes(15);
  // A transaction may last so long, and its content a second more for so many octets: the limits of
  // RFC 5321 §4.5.3.2 are about silence, and a peer that takes an octet now and then is not silent.
  static constexpr base::Duration kTransactionTimeMax = std::chrono::minutes(30);
  static constexpr std::uint64_t kOctetsASecondMin = 4096;

  Session(SessionKey key, std::shared_ptr<const Site> site, SessionContext& context,
          SessionListener& listener);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The first job, at once; later ones only when it is idle. MAIL goes before `mail_before`, or the
  // job comes back by came_ready(); one that has to connect first hands it back in any case where
  // that is not kNever. It comes back, too, where its sender is at his limit.
  void start(queue::Job job, base::Now now, base::Instant mail_before = base::kNever);
  // Says QUIT and is gone, without a session_gone(). Only when idle.
  void quit(base::Now now);

  // Ends the running attempt, because others wait for its connection. false: it goes on, because
  // its final dot has left.
  [[nodiscard]] bool give_up(base::Now now);

  [[nodiscard]] SessionKey key() const { return key_; }

  [[nodiscard]] const std::shared_ptr<const Site>& site() const { return site_; }

  [[nodiscard]] bool is_idle() const { return !job_.has_value(); }

  // How a delivery that it works on stands, for people.
  struct Standing {
    std::string destination;  // of the queue
    std::string host;         // the one tried last
    std::string stage;        // "connect", "RCPT", … as smtp::stage_name()
    base::Instant since;
    bool past_final_dot = false;  // the peer has all of it and owes the answer
  };

  // What it works on; null: nothing.
  [[nodiscard]] const queue::Job* job() const { return job_ ? &*job_ : nullptr; }

  // nullopt: it does not work on it.
  [[nodiscard]] std::optional<Standing> standing_of(base::DeliveryId delivery) const;
  // nullopt: it is idle.
  [[nodiscard]] std::optional<Standing> standing() const;

  // What a crash in this session's turn is to be counted for.
  [[nodiscard]] std::optional<base::DeliveryId> working_on() const;

 private:
  friend class ClientProtocol;

  // From the protocol.
  void on_not_connected(const net::Loss& loss, base::Now now);
  // An implicit handshake (smtps://).
  void handshake_failed(smtp::FailKind kind, base::Now now);
  void took_too_long(base::Now now);
  void pump(base::Now now);
  void idle_too_long(base::Now now);

  void connect(base::Now now);
  void connect_to(const HostAddress& host, InClear in_clear, base::Now now);
  // Its place among the hosts, counted from first_host_; what is set aside is passed
  // over, unless all are.
  [[nodiscard]] std::optional<std::size_t> next_host(base::Now now) const;
  [[nodiscard]] std::shared_ptr<const smtp::ClientOptions> options() const;
  void source_failed(base::Now now);
  void note_not_connected(base::Now now);
  [[nodiscard]] bool has_more_hosts(base::Now now) const;
  void begin_transaction(base::Now now);
  void hand_back(base::Now now);
  // Its sender's limits let the job go, or they say no.
  [[nodiscard]] bool take_of_sender(base::Now now);
  [[nodiscard]] base::Duration idle_timeout() const;
  void feed_body(base::Now now);
  void read_chunk();
  void chunk_read(std::uint32_t index, base::Result<std::shared_ptr<const std::string>> octets);
  void transaction_ended(const smtp::TransactionEnded& ended, base::Now now);
  void session_failed(const smtp::SessionFailed& failed, base::Now now);
  // TLS failed before anything was taken.
  void tls_failed(const smtp::SessionFailed& failed, const TlsState& state, base::Now now);
  void warn_of_login(const smtp::Reply& reply);
  void write_to_maildir();
  void maildir_done(const MaildirDelivery::Outcome& outcome);
  // Nobody could be spoken to: the next host, or the end of the job.
  void host_failed(queue::Failure failure, base::Now now);
  void finish_job(JobReport report, queue::Scheduler::SessionAfter after);
  // The rule of the traffic profiles that a refusal matches; null: none does.
  [[nodiscard]] std::shared_ptr<const traffic::Rule> rule_for(const smtp::Reply& reply,
                                                              smtp::Stage stage) const;
  [[nodiscard]] JobReport make_report(const std::vector<smtp::RecipientResult>& results,
                                      queue::Cause cause, const smtp::Reply& reply_where_none,
                                      bool past_final_dot) const;
  void detach();

  const SessionKey key_;
  const std::shared_ptr<const Site> site_;
  SessionContext& context_;
  SessionListener& listener_;
  std::string source_;                  // as in JobReport
  ClientProtocol* protocol_ = nullptr;  // null: not connected and not connecting
  std::size_t first_host_ = 0;
  std::size_t tried_ = 0;  // hosts of site_, from first_host_ on
  unsigned connects_ = 0;  // in this job
  std::optional<queue::Job> job_;
  base::Instant job_started_{};
  base::Instant mail_before_ = base::kNever;
  base::Duration setup_{0};               // as in JobReport
  const HostAddress* address_ = nullptr;  // in site_: the host tried last
  std::string host_;                      // the same, described
  ConnectionPlan plan_;
  std::string tls_;         // of this connection, as in JobReport
  bool takes_dsn_ = false;  // this peer offers DSN
  std::unique_ptr<MaildirDelivery> maildir_;
  // Of the host tried before this one, in this job.
  std::optional<queue::Failure> last_failure_;
  std::string last_failed_host_;
  std::uint32_t messages_ = 0;
  bool in_transaction_ = false;
  bool has_said_mail_ = false;  // for this job
  bool reused_ = false;         // this transaction is not the first on its connection
  bool overdue_ = false;        // this transaction took too long
  bool no_route_ = false;       // no host of this job was tried, because there is no way to any

  // The content on its way out.
  bool header_sent_ = false;
  std::uint32_t next_chunk_ = 0;
  bool reading_ = false;
  std::shared_ptr<const std::string> chunk_;
  std::string read_error_;
  std::shared_ptr<Session*> self_;  // for reads that come back when we are gone: then null
};

}  // namespace rockdove::outbound
