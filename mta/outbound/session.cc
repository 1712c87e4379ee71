#include "mta/outbound/session.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "mta/base/working.h"
#include "mta/outbound/client_protocol.h"

namespace rockdove::outbound {
namespace {

using queue::Cause;
using queue::Scheduler;

constexpr base::Duration kNoIpv6For = std::chrono::minutes(10);

bool is_no_route(const net::Loss& loss) {
  return loss.how == net::Loss::How::ConnectFailed &&
         (loss.code == ENETUNREACH || loss.code == EADDRNOTAVAIL || loss.code == EAFNOSUPPORT);
}

bool is_not_ours(const net::Loss& loss) {
  return loss.how == net::Loss::How::ConnectFailed && loss.code == EADDRNOTAVAIL;
}

Cause cause_of(const smtp::SessionFailed& failed) {
  switch (failed.kind) {
    case smtp::FailKind::Refused:
    case smtp::FailKind::BadBody:  // our own 554: the message's fault, not the site's
      return Cause::Reply;
    case smtp::FailKind::TimedOut:
      return Cause::TimedOut;
    case smtp::FailKind::Malformed:
      return Cause::Malformed;
    case smtp::FailKind::Lost:
    case smtp::FailKind::Abandoned:
      return Cause::Lost;
  }
  MTA_ASSERT(false);
}

// What history and reports say where the peer said nothing: in the form of a reply, by us.
smtp::Reply our_reply(const smtp::SessionFailed& failed, std::string_view host) {
  const std::string at = " (stage: " + std::string(smtp::stage_name(failed.stage)) + ")";
  const std::string who(host);
  switch (failed.kind) {
    case smtp::FailKind::Refused:
      break;
    case smtp::FailKind::TimedOut:
      return smtp::make_reply(451, "4.4.2", who + " did not answer in time" + at);
    case smtp::FailKind::Malformed:
      return smtp::make_reply(451, "4.5.0",
                              who + " did not answer as a mail server does: " + failed.detail + at);
    case smtp::FailKind::Lost:
    case smtp::FailKind::Abandoned:
      return smtp::make_reply(451, "4.4.2", who + " closed the connection" + at);
    case smtp::FailKind::BadBody:
      if (failed.reply) return *failed.reply;
      return smtp::make_reply(554, "5.6.0", "the stored message has line ends that cannot be sent");
  }
  return failed.reply.value_or(smtp::make_reply(451, "4.4.2", who + " closed the connection" + at));
}

}  // namespace

Session::Session(SessionKey key, std::shared_ptr<const Site> site, SessionContext& context,
                 SessionListener& listener)
    : key_(key),
      site_(std::move(site)),
      context_(context),
      listener_(listener),
      self_(std::make_shared<Session*>(this)) {
  if (site_->source != nullptr) source_ = base::format_ip_address(site_->source->address);
  if (!site_->maildir.empty()) return;
  MTA_ASSERT(!site_->hosts.empty());
  MTA_ASSERT(site_->equals > 0 && site_->equals <= site_->hosts.size());
  first_host_ = context_.sessions++ % site_->equals;
}

Session::~Session() {
  *self_ = nullptr;
  if (protocol_ != nullptr) protocol_->drop(context_.loop.now());
}

std::optional<base::DeliveryId> Session::working_on() const {
  if (!job_) return std::nullopt;
  return base::DeliveryId{job_->message->id, job_->deliveries.front().number};
}

std::optional<Session::Standing> Session::standing_of(base::DeliveryId delivery) const {
  if (!job_ || !queue::has(*job_, delivery)) return std::nullopt;
  return standing();
}

std::optional<Session::Standing> Session::standing() const {
  if (!job_) return std::nullopt;
  Standing standing{job_->queue.destination, host_, "connect", job_started_};
  if (maildir_ != nullptr) {
    standing.stage = "writing the file";
  } else if (protocol_ != nullptr && protocol_->is_connected()) {
    const smtp::Stage stage = protocol_->smtp().stage();
    standing.stage = smtp::stage_name(stage);
    standing.past_final_dot = stage == smtp::Stage::FinalDot;
  }
  return standing;
}

void Session::start(queue::Job job, base::Now now, base::Instant mail_before) {
  MTA_ASSERT(!job_ && !job.deliveries.empty());
  job_ = std::move(job);
  mail_before_ = mail_before;
  job_started_ = now.instant;
  setup_ = base::Duration::zero();
  connects_ = 0;
  tried_ = 0;
  no_route_ = false;
  has_said_mail_ = false;
  last_failure_.reset();
  const base::WorkingOn working(*working_on());
  const bool needs_connection = site_->maildir.empty() && protocol_ == nullptr;
  const bool is_late = now.instant >= mail_before;
  if (!needs_connection && (is_late || !take_of_sender(now))) return hand_back(now);
  if (!site_->maildir.empty()) return write_to_maildir();
  if (needs_connection) return connect(now);
  protocol_->set_idle_until(base::kNever);
  begin_transaction(now);
  protocol_->want_turn();
}

// Where a rate is kept, the next message may be a while away, and is not worth a new connection.
base::Duration Session::idle_timeout() const {
  if (site_->idle_timeout > base::Duration::zero()) return site_->idle_timeout;
  return mail_before_ == base::kNever ? context_.idle_timeout
                                      : std::max(context_.idle_timeout, kIdlePaced);
}

bool Session::take_of_sender(base::Now now) {
  return context_.senders == nullptr ||
         context_.senders->take(job_->queue.tenant, job_->message->campaign, now);
}

void Session::hand_back(base::Now now) {
  queue::Job job = *std::exchange(job_, std::nullopt);
  if (protocol_ != nullptr) {
    protocol_->set_limit(base::kNever);
    protocol_->set_idle_until(now.instant + idle_timeout());
  }
  listener_.came_ready(*this, std::move(job),
                       has_said_mail_ ? Scheduler::Grant::Used : Scheduler::Grant::Unused);
}

void Session::quit(base::Now now) {
  MTA_ASSERT(!job_);
  if (protocol_ == nullptr) return;
  if (protocol_->is_connected()) protocol_->smtp().quit(now.instant);
  protocol_->want_turn();
  detach();
}

bool Session::give_up(base::Now now) {
  if (maildir_ != nullptr) return false;  // the disk cannot be told to stop
  if (!job_ || protocol_ == nullptr) return true;
  const bool is_connected = protocol_->is_connected();
  const smtp::Stage stage = is_connected ? protocol_->smtp().stage() : smtp::Stage::Connect;
  if (stage == smtp::Stage::FinalDot) return false;
  const auto waited = std::chrono::duration_cast<base::Duration>(now.instant - job_started_);
  const smtp::Reply reply =
      smtp::make_reply(451, "4.4.2",
                       host_ + " did not get ahead in " + base::format_duration(waited) +
                           " (stage: " + std::string(smtp::stage_name(stage)) +
                           "), and other sites waited for the connection");
  std::exchange(protocol_, nullptr)->drop(now);
  const std::vector<smtp::RecipientResult> results(job_->deliveries.size(),
                                                   smtp::RecipientResult{stage, {}});
  reused_ = false;
  finish_job(make_report(results, Cause::TimedOut, reply, /*past_final_dot=*/false),
             Scheduler::SessionAfter::Gone);
  return true;
}

void Session::detach() {
  if (protocol_ == nullptr) return;
  protocol_->detach();
  protocol_ = nullptr;
}

std::optional<std::size_t> Session::next_host(base::Now now) const {
  std::optional<std::size_t> aside;
  for (std::size_t i = tried_; i < site_->hosts.size(); ++i) {
    const HostAddress& host = site_->host(first_host_, i);
    if (host.is_v6() && context_.no_ipv6_until > now.instant) continue;
    if (site_->host_tries == 0 || !context_.set_aside.is_aside(host.address, now.instant)) return i;
    if (!aside) aside = i;
  }
  return connects_ == 0 ? aside : std::nullopt;
}

void Session::note_not_connected(base::Now now) {
  if (site_->host_tries == 0 || !address_->unix_path.empty()) return;
  if (!context_.set_aside.failed(address_->address, site_->host_tries, now.instant)) return;
  context_.log.line(base::Level::Info, "a host cannot be reached; others are tried first")
      .field("host", host_)
      .field("for", base::format_duration(SetAside::kFor));
}

// As everybody's, but for the name of a source, and what a traffic profile says of this site.
std::shared_ptr<const smtp::ClientOptions> Session::options() const {
  const base::Duration wait = site_->reply_timeout;
  if (wait == base::Duration::zero() && site_->source == nullptr) return context_.options;
  auto options = std::make_shared<smtp::ClientOptions>(*context_.options);
  if (site_->source != nullptr) options->hostname = site_->source->ehlo;
  if (wait == base::Duration::zero()) return options;
  smtp::ClientTimeouts& waits = options->timeouts;
  for (base::Duration* each :
       {&waits.banner, &waits.hello, &waits.start_tls, &waits.auth, &waits.mail, &waits.rcpt,
        &waits.data_start, &waits.body_block, &waits.final_dot, &waits.reset}) {
    *each = wait;
  }
  return options;
}

bool Session::has_more_hosts(base::Now now) const {
  return connects_ < kConnectsPerJobMax && next_host(now).has_value();
}

void Session::connect(base::Now now) {
  const std::optional<std::size_t> place = next_host(now);
  if (!place || connects_ >= kConnectsPerJobMax) {
    // The last of several addresses had no route: what the one before it said is the end of it.
    if (last_failure_) {
      host_ = last_failed_host_;
      return host_failed(*std::exchange(last_failure_, std::nullopt), now);
    }
    queue::Failure failure;
    failure.stage = smtp::Stage::Connect;
    failure.cause = Cause::Unreachable;
    failure.reply = smtp::make_reply(
        451, "4.4.1",
        "this machine has no IPv6 route, and " +
            (site_->source == nullptr ? site_->hosts.front().host + " has no IPv4 address"
                                      : "the source " + source_ + " is an IPv6 address"));
    no_route_ = true;
    return host_failed(std::move(failure), now);
  }
  tried_ = *place + 1;
  ++connects_;
  const HostAddress& host = site_->host(first_host_, *place);
  const bool is_broken = context_.broken_tls.find(host.address, now.instant) != nullptr;
  connect_to(host, is_broken ? InClear::Yes : InClear::No, now);
}

void Session::connect_to(const HostAddress& host, InClear in_clear, base::Now now) {
  address_ = &host;
  host_ = describe(host);
  plan_ = plan_connection(site_->manner, host, in_clear);
  tls_.clear();
  takes_dsn_ = false;
  messages_ = 0;
  reused_ = false;
  if (cannot_begin_tls(plan_)) {
    queue::Failure failure;
    failure.stage = smtp::Stage::StartTls;
    failure.reply = tls_required_reply(host_, "cannot be asked for TLS: there is none here",
                                       site_->manner, plan_, {});
    return host_failed(std::move(failure), now);
  }
  net::ConnectRequest request;
  request.to = host.address;
  request.unix_path = host.unix_path;
  if (site_->source != nullptr) request.from = site_->source->address;
  request.timeout = site_->connect_timeout > base::Duration::zero() ? site_->connect_timeout
                                                                    : context_.connect_timeout;
  auto protocol = std::make_unique<ClientProtocol>(*this, options(), plan_);
  protocol_ = protocol.get();
  context_.network.connect(request, std::move(protocol));
}

void Session::on_not_connected(const net::Loss& loss, base::Now now) {
  protocol_ = nullptr;  // the network destroys it
  if (site_->source != nullptr && is_not_ours(loss)) return source_failed(now);
  if (address_->is_v6() && is_no_route(loss)) {
    context_.no_ipv6_until = now.instant + kNoIpv6For;
    --connects_;  // nothing was tried
    return connect(now);
  }
  queue::Failure failure;
  failure.stage = smtp::Stage::Connect;
  failure.cause =
      loss.how == net::Loss::How::ConnectTimedOut ? Cause::TimedOut : Cause::Unreachable;
  failure.reply =
      smtp::make_reply(451, "4.4.1", host_ + " could not be reached: " + net::describe(loss));
  note_not_connected(now);
  host_failed(std::move(failure), now);
}

// The source address has just left this machine (daemon/source_watch.h sets it aside within a
// minute), or has no port left: nothing was tried, and no other host is worth it.
void Session::source_failed(base::Now now) {
  tried_ = site_->hosts.size();
  no_route_ = true;
  queue::Failure failure;
  failure.stage = smtp::Stage::Connect;
  failure.cause = Cause::Unreachable;
  failure.reply = smtp::make_reply(451, "4.4.1",
                                   host_ + " could not be tried from the source " + source_ +
                                       ": this machine has no such address");
  host_failed(std::move(failure), now);
}

void Session::handshake_failed(smtp::FailKind kind, base::Now now) {
  const TlsState state = protocol_->tls_state();
  if (state.loss) {
    protocol_ = nullptr;  // the network destroys it
  } else {
    std::exchange(protocol_, nullptr)->drop(now);
  }
  smtp::SessionFailed failed;
  failed.stage = smtp::Stage::StartTls;
  failed.kind = kind;
  tls_failed(failed, state, now);
}

void Session::took_too_long(base::Now now) {
  if (!protocol_->is_connected()) return handshake_failed(smtp::FailKind::TimedOut, now);
  smtp::ClientSession& smtp = protocol_->smtp();
  if (smtp.stage() == smtp::Stage::FinalDot) return;  // its own time has begun, and ends it
  overdue_ = true;
  smtp.abandon(now.instant);
  pump(now);
}

void Session::host_failed(queue::Failure failure, base::Now now) {
  // What a rule knows is no fault of this host: the others would say the same.
  failure.more_hosts = has_more_hosts(now) && (failure.cause != Cause::Reply ||
                                               rule_for(failure.reply, failure.stage) == nullptr);
  const queue::Judgement judgement = queue::judge(failure);
  if (judgement.action == queue::Action::TryNextHost) {
    last_failed_host_ = host_;
    last_failure_ = std::move(failure);
    return connect(now);
  }
  std::vector<smtp::RecipientResult> results(job_->deliveries.size(),
                                             smtp::RecipientResult{failure.stage, {}});
  if (failure.cause == Cause::Reply) {
    for (smtp::RecipientResult& result : results) result.reply = failure.reply;
  }
  finish_job(make_report(results, failure.cause, failure.reply, /*past_final_dot=*/false),
             Scheduler::SessionAfter::Gone);
}

void Session::begin_transaction(base::Now now) {
  const queue::Message& message = *job_->message;
  smtp::OutgoingMessage outgoing;
  outgoing.sender = message.sender;
  outgoing.recipients.reserve(job_->deliveries.size());
  for (const queue::Delivery& delivery : job_->deliveries)
    outgoing.recipients.push_back(
        {delivery.recipient, delivery.notify, delivery.original_recipient});
  outgoing.octets = message.header_block.size() + message.body_octets;
  outgoing.eight_bit = message.eight_bit;
  outgoing.smtputf8 = message.smtputf8;
  outgoing.envelope_id = message.envelope_id;
  outgoing.returned = message.returned;
  outgoing.priority = queue::priority_of(job_->deliveries.front().priority);
  outgoing.header = message.header_block;
  if (message.body != nullptr) outgoing.body = *message.body;
  header_sent_ = false;
  next_chunk_ = 0;
  chunk_ = nullptr;
  read_error_.clear();
  reused_ = messages_ > 0;
  ++messages_;
  in_transaction_ = true;
  has_said_mail_ = true;
  setup_ = std::chrono::duration_cast<base::Duration>(now.instant - job_started_);
  takes_dsn_ = protocol_->smtp().peer().dsn;
  protocol_->set_limit(now.instant + kTransactionTimeMax +
                       std::chrono::seconds(outgoing.octets / kOctetsASecondMin));
  protocol_->smtp().start(outgoing, now.instant);
  if (message.body == nullptr && message.body_chunks > 0) read_chunk();
}

void Session::pump(base::Now now) {
  smtp::ClientSession& smtp = protocol_->smtp();
  while (std::optional<smtp::ClientEvent> event = smtp.next_event(now.instant)) {
    if (std::holds_alternative<smtp::TlsWanted>(*event)) {
      if (smtp.wants_tls()) protocol_->start_tls();
    } else if (std::holds_alternative<smtp::Greeted>(*event)) {
      tls_ = protocol_->tls();
      if (site_->host_tries > 0) context_.set_aside.answered(address_->address);
      // Not if the peer said more than its reply to EHLO at once: how that ended is the next event.
      if (!smtp.is_ready()) continue;
      if (mail_before_ != base::kNever || !take_of_sender(now)) return hand_back(now);
      begin_transaction(now);
    } else if (const auto* ended = std::get_if<smtp::TransactionEnded>(&*event)) {
      return transaction_ended(*ended, now);
    } else if (const auto* failed = std::get_if<smtp::SessionFailed>(&*event)) {
      return session_failed(*failed, now);
    } else if (job_) {  // closed by a 421 between transactions, with a job that has not begun
      reused_ = true;
      detach();
      return finish_job(
          make_report(std::vector<smtp::RecipientResult>(job_->deliveries.size()), Cause::Lost,
                      smtp::make_reply(451, "4.4.2", host_ + " closed the connection"), false),
          Scheduler::SessionAfter::Gone);
    } else {
      detach();
      return listener_.session_gone(*this);
    }
  }
  if (in_transaction_) feed_body(now);
}

void Session::feed_body(base::Now now) {
  smtp::ClientSession& smtp = protocol_->smtp();
  const queue::Message& message = *job_->message;
  while (smtp.wants_body()) {
    if (!read_error_.empty()) {
      smtp.abandon(now.instant);
      return pump(now);
    }
    if (!header_sent_) {
      header_sent_ = true;
      const bool is_all = message.body_chunks == 0;
      smtp.body(message.header_block, is_all ? smtp::BodyLast::Yes : smtp::BodyLast::No,
                now.instant);
    } else if (message.body != nullptr) {
      smtp.body(*message.body, smtp::BodyLast::Yes, now.instant);
    } else if (chunk_ != nullptr) {
      const std::shared_ptr<const std::string> chunk = std::exchange(chunk_, nullptr);
      const bool is_last = ++next_chunk_ == message.body_chunks;
      if (!is_last) read_chunk();
      smtp.body(*chunk, is_last ? smtp::BodyLast::Yes : smtp::BodyLast::No, now.instant);
    } else {
      return;  // a read is under way
    }
  }
  if (smtp.is_over()) pump(now);  // by content that cannot be sent
}

void Session::read_chunk() {
  context_.store.read_chunk(
      context_.loop, job_->message->id, next_chunk_,
      [self = self_, index = next_chunk_,
       id = job_->message->id](base::Result<std::shared_ptr<const std::string>> octets) {
        Session* session = *self;
        if (session == nullptr || !session->job_ || session->job_->message->id != id) return;
        session->chunk_read(index, std::move(octets));
      });
}

void Session::chunk_read(std::uint32_t index,
                         base::Result<std::shared_ptr<const std::string>> octets) {
  if (!in_transaction_ || index != next_chunk_ || chunk_ != nullptr) return;
  if (octets) {
    chunk_ = std::move(octets).value();
  } else {
    read_error_ = octets.error().text();
  }
  if (protocol_ != nullptr) protocol_->want_turn();
}

void Session::transaction_ended(const smtp::TransactionEnded& ended, base::Now now) {
  in_transaction_ = false;
  JobReport report =
      make_report(ended.results, Cause::Lost,
                  smtp::make_reply(451, "4.4.2",
                                   host_ + " closed the connection after the message was sent, "
                                           "before saying whether it took it"),
                  ended.uncertain);
  smtp::ClientSession& smtp = protocol_->smtp();
  protocol_->set_limit(base::kNever);
  const std::uint32_t messages_max = site_->messages_per_connection > 0
                                         ? site_->messages_per_connection
                                         : context_.messages_per_connection;
  if (smtp.is_ready() && messages_ < messages_max) {
    protocol_->set_idle_until(now.instant + idle_timeout());
    return finish_job(std::move(report), Scheduler::SessionAfter::Idle);
  }
  if (!smtp.is_over()) smtp.quit(now.instant);
  detach();
  finish_job(std::move(report), Scheduler::SessionAfter::Gone);
}

void Session::session_failed(const smtp::SessionFailed& failed, base::Now now) {
  const bool was_in_transaction = std::exchange(in_transaction_, false);
  const bool was_overdue = std::exchange(overdue_, false);
  const TlsState tls = protocol_->tls_state();
  detach();
  if (!job_) return listener_.session_gone(*this);
  const bool is_tls = !was_overdue && !failed.past_final_dot && is_tls_failure(failed, tls, plan_);
  if (is_tls && (!was_in_transaction || plan_.level == TlsLevel::May)) {
    return tls_failed(failed, tls, now);
  }
  smtp::Reply reply = our_reply(failed, host_);
  Cause cause = cause_of(failed);
  if (was_overdue) {
    cause = Cause::TimedOut;
    reply = smtp::make_reply(451, "4.4.2",
                             host_ +
                                 " is too slow: it kept the connection longer than a message "
                                 "may take (stage: " +
                                 std::string(smtp::stage_name(failed.stage)) + ")");
  } else if (!read_error_.empty()) {
    reply = smtp::make_reply(451, "4.3.0",
                             "the message could not be read from the queue: " + read_error_);
  }
  if (!was_in_transaction) {
    queue::Failure failure;
    failure.stage = failed.stage;
    failure.cause = cause;
    failure.reply = reply;
    if (failed.stage == smtp::Stage::Auth) warn_of_login(reply);
    if (failed.stage == smtp::Stage::Banner || failed.stage == smtp::Stage::Hello ||
        failed.stage == smtp::Stage::StartTls || failed.stage == smtp::Stage::Auth) {
      return host_failed(std::move(failure), now);
    }
  }
  std::vector<smtp::RecipientResult> results = failed.results;
  results.resize(job_->deliveries.size(), smtp::RecipientResult{failed.stage, {}});
  for (smtp::RecipientResult& result : results) {
    const bool is_answer =
        failed.kind == smtp::FailKind::Refused || failed.kind == smtp::FailKind::BadBody;
    if (result.reply.is_none() && failed.reply && is_answer) result.reply = *failed.reply;
  }
  finish_job(make_report(results, cause, reply, failed.past_final_dot),
             Scheduler::SessionAfter::Gone);
}

void Session::tls_failed(const smtp::SessionFailed& failed, const TlsState& state, base::Now now) {
  const std::string what = tls_failure_text(failed, state);
  if (plan_.level == TlsLevel::May) {
    // Broken TLS must not hold up what would have been sent in clear anyway.
    if (context_.broken_tls.remember(address_->address, what, now.instant) ==
        BrokenTls::News::New) {
      context_.log.line(base::Level::Info, "TLS does not work there; sending in clear")
          .field("host", host_)
          .field("reason", what)
          .field("for", base::format_duration(BrokenTls::kFor));
    }
    return connect_to(*address_, InClear::Yes, now);
  }
  queue::Failure failure;
  failure.stage = smtp::Stage::StartTls;
  failure.reply = tls_required_reply(host_, what, site_->manner, plan_, state);
  host_failed(std::move(failure), now);
}

void Session::warn_of_login(const smtp::Reply& reply) {
  context_.log
      .line(base::Level::Warning,
            "this host does not let us log in; mail of its route waits. Correct user and password "
            "of the route, then reload")
      .field("host", host_)
      .field("route", site_->name)
      .field("user", site_->manner.credentials ? site_->manner.credentials->user : "")
      .field("reply", smtp::one_line(reply, queue::kReplyOctetsKept));
}

void Session::write_to_maildir() {
  host_ = "maildir:" + site_->maildir;
  maildir_ = std::make_unique<MaildirDelivery>(
      context_.loop, context_.store, context_.files, site_->maildir, context_.options->hostname,
      *job_, [this](const MaildirDelivery::Outcome& outcome) { maildir_done(outcome); });
  maildir_->start();
}

void Session::maildir_done(const MaildirDelivery::Outcome& outcome) {
  const base::WorkingOn working(*working_on());
  smtp::Reply reply = outcome.uncertain;
  read_error_ = outcome.read_error;
  if (!read_error_.empty()) {
    reply = smtp::make_reply(451, "4.3.0",
                             "the message could not be read from the queue: " + read_error_);
  }
  finish_job(make_report(outcome.results, Cause::Lost, reply, !outcome.uncertain.is_none()),
             Scheduler::SessionAfter::Gone);
}

void Session::finish_job(JobReport report, Scheduler::SessionAfter after) {
  job_.reset();
  chunk_ = nullptr;
  in_transaction_ = false;
  listener_.job_done(*this, std::move(report), after);
}

void Session::idle_too_long(base::Now now) {
  quit(now);
  listener_.session_gone(*this);
}

}  // namespace rockdove::outbound
