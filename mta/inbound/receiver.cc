#include "mta/inbound/receiver.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/wipe.h"
#include "mta/base/working.h"
#include "mta/inbound/access.h"
#include "mta/inbound/counting.h"
#include "mta/inbound/local_user.h"

namespace rockdove::inbound {
namespace {

constexpr std::size_t kAddressesMax = 10'000;  // behind all aliases of one message

smtp::Reply storage_reply(queue::Readiness readiness) {
  switch (readiness) {
    case queue::Readiness::Ready:
      break;
    case queue::Readiness::Busy:
      return smtp::make_reply(452, "4.3.1", "the queue is busy; try again in a minute");
    case queue::Readiness::DiskFull:
      return smtp::make_reply(452, "4.3.1", "the queue's disk is nearly full; try again later");
    case queue::Readiness::Failed:
      return smtp::make_reply(452, "4.3.1",
                              "the queue cannot be written at the moment; try again later");
  }
  MTA_ASSERT(false);
}

}  // namespace

namespace {

std::shared_ptr<ListenerContext> make_context(std::shared_ptr<const InboundSettings> settings,
                                              const ListenerSettings& listener) {
  auto context = std::make_shared<ListenerContext>();
  context->settings = &listener;
  context->limits.recipients_max = listener.max_recipients;
  context->limits.message_octets_max = listener.max_message_size;
  context->limits.line_endings = listener.line_endings;
  context->greeting.hostname = settings->hostname;
  context->all = std::move(settings);
  return context;
}

}  // namespace

std::shared_ptr<const ListenerContext> make_listener_context(
    std::shared_ptr<const InboundSettings> settings, std::size_t number) {
  const ListenerSettings& listener = settings->listeners.at(number);
  return make_context(std::move(settings), listener);
}

std::shared_ptr<const ListenerContext> make_submission_context(
    std::shared_ptr<const InboundSettings> settings) {
  const ListenerSettings& listener = settings->submission.listener;
  std::shared_ptr<ListenerContext> context = make_context(std::move(settings), listener);
  context->clients = Clients::LocalUsers;
  return context;
}

std::unique_ptr<net::Protocol> make_receiver(Reception& reception,
                                             std::shared_ptr<const ListenerContext> listener,
                                             const net::ConnectionInfo& info) {
  return std::make_unique<Receiver>(reception, std::move(listener), info);
}

std::unique_ptr<net::Protocol> make_receiver_of_file(
    Reception& reception, std::shared_ptr<const ListenerContext> listener,
    const net::ConnectionInfo& info, LeftFile file) {
  constexpr unsigned kOtherCommandsMax = 10;
  MTA_ASSERT(listener->clients == Clients::LocalUsers && !file.name.empty());
  auto own = std::make_shared<ListenerContext>(*listener);
  smtp::ServerLimits& limits = own->limits;
  limits.recipients_max = std::max(limits.recipients_max, kFileRecipientsMax);
  limits.commands_max =
      std::max(limits.commands_max, static_cast<unsigned>(kFileRecipientsMax) + kOtherCommandsMax);
  return std::make_unique<Receiver>(reception, std::move(own), info, std::move(file));
}

namespace {

smtp::ServerOffers offers_of(const ListenerContext& context, const Authenticator* authenticator,
                             const base::IpAddress& client, bool may_relay, base::WallTime now) {
  const ListenerSettings& listener = *context.settings;
  const InboundSettings& settings = *context.all;
  smtp::ServerOffers offers;
  offers.wishes =
      may_relay ? smtp::ServerOffers::Wishes::Always : smtp::ServerOffers::Wishes::WithAuth;
  offers.hold_for_max = kSendAheadMax;
  offers.hold_until_max = now + kSendAheadMax;
  if (context.clients == Clients::LocalUsers) offers.addresses = smtp::AddressForm::OrUser;
  switch (listener.tls) {
    case ListenerTls::Off:
    case ListenerTls::Implicit:
      break;
    case ListenerTls::Optional:
      offers.tls = settings.tls == nullptr ? smtp::ServerOffers::Tls::Unavailable
                                           : smtp::ServerOffers::Tls::Optional;
      break;
    case ListenerTls::Required:
      offers.tls = smtp::ServerOffers::Tls::Required;
      break;
  }
  offers.auth_required = listener.auth == ListenerAuth::Required;
  if (listener.auth == ListenerAuth::Off || authenticator == nullptr) return offers;
  const bool in_clear =
      std::any_of(listener.auth_in_clear.begin(), listener.auth_in_clear.end(),
                  [&client](const base::IpNetwork& network) { return network.contains(client); });
  offers.auth = in_clear ? smtp::ServerOffers::Auth::Always : smtp::ServerOffers::Auth::UnderTls;
  return offers;
}

smtp::Reply reply_of(LoginVerdict verdict) {
  switch (verdict) {
    case LoginVerdict::Accepted:
      return smtp::make_reply(235, "2.7.0", "welcome");
    case LoginVerdict::Refused:
      return smtp::make_reply(535, "5.7.8", "user name or password is wrong");
    case LoginVerdict::TooMany:
      return smtp::make_reply(454, "4.7.0",
                              "too many failed logins from your address; try again later");
    case LoginVerdict::Unavailable:
      return smtp::make_reply(454, "4.7.0", "logins cannot be checked now; try again later");
  }
  MTA_ASSERT(false);
}

}  // namespace

namespace {

std::string name_local_user(const Reception& reception, const net::ConnectionInfo& info) {
  const std::uint32_t user = info.credentials.value().user;
  return describe_local_user(user,
                             reception.name_of_user ? reception.name_of_user(user) : std::string());
}

}  // namespace

Receiver::Receiver(Reception& reception, std::shared_ptr<const ListenerContext> listener,
                   const net::ConnectionInfo& info, LeftFile file)
    : reception_(reception),
      context_(std::move(listener)),
      listener_(*context_),
      settings_(*context_->all),
      info_(info),
      client_(is_local_user() ? key_of_local_user(info.credentials.value().user) : info.peer.ip),
      local_user_(is_local_user() ? name_local_user(reception, info) : std::string()),
      file_(std::move(file)),
      may_relay_(is_local_user() || inbound::may_relay(*listener_.settings, info.peer.ip)),
      number_(std::uint64_t{++reception.sessions} * base::kLoopsMax + reception.loop.index()),
      session_(listener_.limits, listener_.greeting, reception.loop.now().instant,
               offers_of(listener_, reception.authenticator, info.peer.ip, may_relay_,
                         reception.loop.now().wall)),
      self_(std::make_shared<Receiver*>(this)) {}

Receiver::~Receiver() {
  *self_ = nullptr;
  drop_message();
  if (counted_client_) reception_.clients.disconnect(client_, reception_.loop.now().instant);
  if (counted_) reception_.connections.fetch_sub(1, std::memory_order_relaxed);
}

bool Receiver::is_allowed_user() const {
  const std::uint32_t user = info_.credentials->user;
  return may_submit(settings_.submission, user,
                    reception_.name_of_user ? reception_.name_of_user(user) : std::string());
}

std::string Receiver::client_text() const {
  return is_local_user() ? "local" : base::format_ip_address(info_.peer.ip);
}

std::optional<smtp::Reply> Receiver::refuse_connection(base::Now now) {
  const ListenerTls tls = listener_.settings->tls;
  if (settings_.tls == nullptr && (tls == ListenerTls::Required || tls == ListenerTls::Implicit)) {
    reception_.log
        .line(
            base::Level::Error,
            "a listener takes mail only within TLS, and there is no certificate: nobody can use it")
        .field("listener", listener_.settings->name);
    return smtp::make_reply(421, "4.7.0",
                            "mail is taken only within TLS here, and there is no certificate at "
                            "the moment; try again later");
  }
  if (reception_.stopping)
    return smtp::make_reply(421, "4.3.2", "this server is being stopped; try again later");
  if (reception_.held_clients.contains(client_)) {
    return smtp::make_reply(
        421, "4.3.0", "this server failed while it talked with you and needs its operator first");
  }
  if (is_local_user() && !is_allowed_user()) {
    return smtp::make_reply(554, "5.7.1",
                            "this user may not send mail here (`sendmail.users` of the "
                            "configuration)");
  }
  const std::uint32_t before = reception_.connections.fetch_add(1, std::memory_order_relaxed);
  counted_ = true;
  if (before >= settings_.connections_in) {
    return smtp::make_reply(421, "4.3.2", "too many connections at the moment; try again later");
  }
  counted_client_ =
      reception_.clients.try_connect(client_, listener_.settings->connections, now.instant);
  if (!counted_client_) {
    return smtp::make_reply(421, "4.7.0",
                            is_local_user()
                                ? "too many connections of this user; try again in a minute"
                                : "too many connections from your address; close some first");
  }
  return std::nullopt;
}

void Receiver::connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) {
  static_cast<void>(info);
  wire_ = &wire;
  const base::WorkingOn working(client_);
  base::count(base::Counter::ConnectionsIn);
  if (!is_local_user() && reception_.log.wants(reception_.log.detail_level())) {
    reception_.log.line(reception_.log.detail_level(), "connected")
        .detail("session", number_)
        .field("client", base::format_ip_address(info_.peer.ip))
        .field("listener", listener_.settings->name);
  }
  if (const std::optional<smtp::Reply> refusal = refuse_connection(now)) {
    refuse(*refusal, "connection", "", now);
    session_.refuse(*refusal, now.instant);
    // RFC 8314 §3.3: here no word can be said in clear, and a handshake only to say it is too much.
    if (listener_.settings->tls == ListenerTls::Implicit) session_.lost(now.instant);
  } else if (listener_.settings->tls == ListenerTls::Implicit) {
    session_.begin_with_tls(now.instant);
    start_tls();
  } else if (may_relay_ || reception_.greeting_pause == base::Duration::zero()) {
    session_.greet(now.instant);
  } else {
    greet_at_ = now.instant + reception_.greeting_pause;
  }
  pump(now);
}

void Receiver::start_tls() {
  MTA_ASSERT(settings_.tls != nullptr);  // else it is not offered, or nobody came so far
  wire_->start_tls(net::StartTlsAsServer{settings_.tls, listener_.settings->tls_min});
}

void Receiver::tls_started(const net::TlsInfo& info, base::Now now) {
  const base::WorkingOn working(client_);
  tls_ = net::describe(info);
  helo_.clear();
  session_.tls_started(now.instant);
  if (listener_.settings->tls == ListenerTls::Implicit) session_.greet(now.instant);
  pump(now);
}

void Receiver::receive(std::string_view bytes, base::Now now) {
  const base::WorkingOn working(client_);
  greet_at_ = base::kNever;
  session_.receive(bytes, now.instant);
  pump(now);
}

void Receiver::peer_closed(base::Now now) {
  const base::WorkingOn working(client_);
  session_.peer_closed(now.instant);
  pump(now);
}

void Receiver::lost(const net::Loss& loss, base::Now now) {
  if (loss.how == net::Loss::How::TlsFailed) {
    reception_.log.line(base::Level::Info, "TLS failed")
        .detail("session", number_)
        .field("client", client_text())
        .field("listener", listener_.settings->name)
        .field("during", tls_.empty() ? "handshake" : "session")
        .field("reason", net::describe(loss));
  }
  session_.lost(now.instant);
  pump(now);
}

void Receiver::deadline_reached(base::Now now) {
  const base::WorkingOn working(client_);
  if (greet_at_ <= now.instant) {
    greet_at_ = base::kNever;
    session_.greet(now.instant);
  } else {
    session_.deadline_reached(now.instant);
  }
  pump(now);
}

void Receiver::turn(base::Now now) {
  const base::WorkingOn working(client_);
  pump(now);
}

void Receiver::output_sent(std::size_t octets, base::Now now) {
  session_.output_sent(octets, now.instant);
  pump(now);
}

base::Instant Receiver::deadline() const {
  return std::min(session_.deadline(), greet_at_);
}

bool Receiver::wants_input() const {
  return session_.wants_input() && chunks_ahead_ < kChunksAheadMax &&
         (inspection_ == nullptr || inspection_->has_room());
}

void Receiver::pump(base::Now now) {
  if (reception_.stopping && incoming_ == nullptr && !session_.is_over()) {
    session_.close_with(
        smtp::make_reply(421, "4.3.2", "this server is being stopped; try again later"),
        now.instant);
  }
  while (std::optional<smtp::ServerEvent> event = session_.next_event(now.instant)) {
    std::visit([this, now](auto& what) { on(what, now); }, *event);
  }
}

void Receiver::on(const smtp::HelloGiven& event, base::Now now) {
  static_cast<void>(now);
  helo_ = event.name;
}

std::optional<smtp::Reply> Receiver::refuse_sender(const smtp::SenderOffered& event,
                                                   base::Now now) {
  static_cast<void>(event);
  const queue::Readiness readiness = reception_.store.readiness();
  if (readiness != queue::Readiness::Ready) return storage_reply(readiness);
  if (!reception_.memory.has_room_to_accept()) {
    return smtp::make_reply(452, "4.3.1", "too much mail at once; try again in a minute");
  }
  if (!reception_.clients.try_message(client_, listener_.settings->rate, now.instant)) {
    return smtp::make_reply(
        450, "4.7.1",
        std::string(is_local_user() ? "too many messages of this user: at most "
                                    : "too many messages from your address: at most ") +
            base::format_rate(listener_.settings->rate) + " here; try again later");
  }
  return std::nullopt;
}

void Receiver::on(const smtp::SenderOffered& event, base::Now now) {
  if (const std::optional<smtp::Reply> refusal = refuse_sender(event, now)) {
    return refuse(*refusal, "sender", mail::format_address(event.sender), now);
  }
  if (event.sender.domain.empty() && !event.sender.is_null() && is_local_user()) {
    smtp::SenderOffered full = event;
    full.sender.domain = settings_.hostname;
    incoming_ = std::make_unique<Incoming>(full, reception_.memory);
  } else {
    incoming_ = std::make_unique<Incoming>(event, reception_.memory);
  }
  inspection_ = make_inspection(now);
  session_.answer(smtp::make_reply(250, "2.1.0", "sender ok"), now.instant);
}

RecipientDecision Receiver::decide(const smtp::RecipientOffered& offered) const {
  RecipientDecision decision = decide_recipient(settings_, offered.recipient, client_may_relay());
  // Cron's mail to a user who is in no alias is for somebody who looks after the machine.
  const bool is_nobodys = std::holds_alternative<NotTaken>(decision) && is_local_user() &&
                          is_local(settings_, offered.recipient);
  if (is_nobodys && !settings_.postmaster.empty()) return Taken{{settings_.postmaster}};
  return decision;
}

void Receiver::on(const smtp::RecipientOffered& event, base::Now now) {
  // Whoever is refused may ask the postmaster why (RFC 5321 §4.5.1).
  const bool may_refuse = inspection_ != nullptr && inspection_->may_refuse_envelope();
  if (may_refuse && !mail::is_postmaster(event.recipient)) return judge_recipient(event);
  take_offered(event, now);
}

void Receiver::take_offered(const smtp::RecipientOffered& event, base::Now now) {
  RecipientDecision decision = decide(event);
  if (const auto* taken = std::get_if<Taken>(&decision))
    return take_recipient(event, taken->addresses, now);
  if (const auto* not_taken = std::get_if<NotTaken>(&decision)) {
    if (!file_.name.empty() && not_taken->reply.is_permanent()) {
      return report_refusal(event, not_taken->reply, now);
    }
    return refuse(not_taken->reply, "recipient", mail::format_address(event.recipient), now);
  }
  const std::string address = std::get<AskNextHop>(decision).address;
  reception_.probe.ask(address, [self = self_, address, event](const smtp::Reply& reply) {
    Receiver* receiver = *self;
    // Without a transaction the connection was lost, and only the end of it is still to come.
    if (receiver == nullptr || receiver->incoming_ == nullptr) return;
    const base::Now later = receiver->reception_.loop.now();
    if (reply.is_success()) {
      receiver->take_recipient(event, {address}, later);
    } else {
      receiver->refuse(reply, "recipient", address, later);
    }
    receiver->wire_->want_turn();
  });
}

void Receiver::take_recipient(const smtp::RecipientOffered& offered,
                              const std::vector<std::string>& addresses, base::Now now) {
  if (incoming_->recipients().size() + addresses.size() > kAddressesMax) {
    return refuse_expansion(offered, now);
  }
  incoming_->add_recipient(offered, addresses);
  session_.answer(smtp::make_reply(250, "2.1.5", "recipient ok"), now.instant);
}

// A client takes those that were too many to the next transaction (RFC 5321 §4.5.3.1.10). A file
// has no other, and an alias that is too large by itself would be too large in each.
void Receiver::refuse_expansion(const smtp::RecipientOffered& offered, base::Now now) {
  constexpr std::string_view kText = "too many addresses behind these aliases";
  if (!file_.name.empty()) {
    return report_refusal(offered, smtp::make_reply(550, "5.5.3", kText), now);
  }
  const bool may_later = !incoming_->recipients().empty();
  refuse(may_later ? smtp::make_reply(452, "4.5.3", kText) : smtp::make_reply(550, "5.5.3", kText),
         "recipient", mail::format_address(offered.recipient), now);
}

// Of a recipient of a file: its sender is not there to hear it.
void Receiver::report_refusal(const smtp::RecipientOffered& offered, const smtp::Reply& reply,
                              base::Now now) {
  incoming_->add_refused(offered, reply);
  session_.answer(smtp::make_reply(250, "2.1.5", "its sender gets a report"), now.instant);
}

// Answers, and leaves a line in the log for whoever asks why.
void Receiver::refuse(const smtp::Reply& reply, std::string_view what, std::string_view address,
                      base::Now now) {
  count_refusal(reply);
  if (!file_.name.empty() && what == "recipient") is_incomplete_ = true;
  {
    base::LogLine line = reception_.log.line(base::Level::Info, "rejected");
    line.detail("session", number_)
        .detail("proto", session_.is_extended() ? "ESMTP" : "SMTP")
        .field("what", what)
        .field("client", client_text())
        .field("helo", helo_);
    if (!user().empty()) line.field("user", user());
    if (incoming_ != nullptr) line.path("from", mail::format_address(incoming_->sender()));
    if (!address.empty()) line.path(what == "sender" ? "from" : "to", address);
    line.field("listener", listener_.settings->name).field("reply", smtp::one_line(reply));
  }
  if (session_.has_open_question()) session_.answer(reply, now.instant);
}

void Receiver::on(const smtp::HandshakeWanted& event, base::Now now) {
  static_cast<void>(event);
  static_cast<void>(now);
  start_tls();
}

void Receiver::on(smtp::LoginOffered& event, base::Now now) {
  static_cast<void>(now);
  MTA_ASSERT(reception_.authenticator != nullptr);
  reception_.authenticator->check(reception_.loop,
                                  Login{event.user, std::move(event.password), info_.peer.ip,
                                        smtp::auth_mechanism_name(event.mechanism), number_},
                                  [self = self_, user = event.user](LoginVerdict verdict) {
                                    if (Receiver* receiver = *self; receiver != nullptr)
                                      receiver->checked(verdict, user);
                                  });
  base::wipe(event.password);
}

void Receiver::checked(LoginVerdict verdict, const std::string& user) {
  const base::Now now = reception_.loop.now();
  const smtp::Reply reply = reply_of(verdict);
  // Refusals have a line from those who judged (accounts.h).
  reception_.log.line(base::Level::Debug, "login")
      .field("client", client_text())
      .field("helo", helo_)
      .field("user", user)
      .field("tls", tls_)
      .field("listener", listener_.settings->name)
      .field("reply", smtp::one_line(reply));
  session_.answer(reply, now.instant);
  wire_->want_turn();
}

void Receiver::on(const smtp::TransactionReset& event, base::Now now) {
  static_cast<void>(event);
  static_cast<void>(now);
  drop_message();
}

void Receiver::on(const smtp::SessionOver& event, base::Now now) {
  static_cast<void>(now);
  if (is_local_user() || !reception_.log.wants(reception_.log.detail_level())) return;
  reception_.log.line(reception_.log.detail_level(), "session ended")
      .detail("session", number_)
      .field("client", client_text())
      .field("helo", helo_)
      .field("reason", smtp::close_reason_name(event.reason))
      .field("after", session_.tally().last())
      .field("commands", session_.tally().text());
}

// By which the client has logged in; "" when it has not.
std::string_view Receiver::mechanism() const {
  return session_.user().empty() ? std::string_view()
                                 : smtp::auth_mechanism_name(session_.mechanism());
}

}  // namespace rockdove::inbound
