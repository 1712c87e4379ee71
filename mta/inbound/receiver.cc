#include "mta/inbound/receiver.h"

#include <algorithm>
#include <utility>

#include "mta/base/text.h"
#include "mta/base/working.h"
#include "mta/inbound/access.h"
#include "mta/mail/date.h"
#include "mta/mail/received.h"

namespace rockdove::inbound {
namespace {

// A message may come back once or twice on purpose (a content filter, a forwarding): more is a
// loop.
constexpr std::size_t kOwnHopsMax = 4;
constexpr std::size_t kHopsNamedMax = 12;
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

std::string_view reason_of(smtp::BodyEnd how) {
  switch (how) {
    case smtp::BodyEnd::Dot:
      break;
    case smtp::BodyEnd::TooBig:
      return "message too big";
    case smtp::BodyEnd::BareLineFeed:
      return "bare line feed";
    case smtp::BodyEnd::BareCarriageReturn:
      return "bare carriage return";
    case smtp::BodyEnd::NullOctet:
      return "NUL octet";
    case smtp::BodyEnd::LineTooLong:
      return "line too long";
  }
  MTA_ASSERT(false);
}

std::string name_hops(std::string_view header) {
  std::string names;
  for (const std::string_view host : mail::received_hosts(header, kHopsNamedMax)) {
    if (!names.empty()) names += " <- ";
    names += base::printable(host, 64);
  }
  return names;
}

}  // namespace

std::shared_ptr<const ListenerContext> make_listener_context(
    std::shared_ptr<const InboundSettings> settings, std::size_t number) {
  auto context = std::make_shared<ListenerContext>();
  const ListenerSettings& listener = settings->listeners.at(number);
  context->settings = &listener;
  context->limits.recipients_max = listener.max_recipients;
  context->limits.message_octets_max = listener.max_message_size;
  context->limits.line_endings = listener.line_endings;
  context->greeting.hostname = settings->hostname;
  context->all = std::move(settings);
  return context;
}

std::unique_ptr<net::Protocol> make_receiver(Reception& reception,
                                             std::shared_ptr<const ListenerContext> listener,
                                             const net::ConnectionInfo& info) {
  return std::make_unique<Receiver>(reception, std::move(listener), info);
}

Receiver::Receiver(Reception& reception, std::shared_ptr<const ListenerContext> listener,
                   const net::ConnectionInfo& info)
    : reception_(reception),
      context_(std::move(listener)),
      listener_(*context_),
      settings_(*context_->all),
      info_(info),
      may_relay_(inbound::may_relay(*listener_.settings, info.peer.ip)),
      session_(listener_.limits, listener_.greeting, reception.loop.now().instant),
      self_(std::make_shared<Receiver*>(this)) {}

Receiver::~Receiver() {
  *self_ = nullptr;
  drop_message();
  if (counted_client_) reception_.clients.disconnect(info_.peer.ip, reception_.loop.now().instant);
  if (counted_) reception_.connections.fetch_sub(1, std::memory_order_relaxed);
}

std::optional<smtp::Reply> Receiver::refuse_connection(base::Now now) {
  const base::IpAddress& client = info_.peer.ip;
  if (reception_.stopping)
    return smtp::make_reply(421, "4.3.2", "this server is being stopped; try again later");
  if (reception_.held_clients.contains(client)) {
    return smtp::make_reply(
        421, "4.3.0", "this server failed while it talked with you and needs its operator first");
  }
  const std::uint32_t before = reception_.connections.fetch_add(1, std::memory_order_relaxed);
  counted_ = true;
  if (before >= settings_.connections_in) {
    return smtp::make_reply(421, "4.3.2", "too many connections at the moment; try again later");
  }
  counted_client_ =
      reception_.clients.try_connect(client, listener_.settings->connections, now.instant);
  if (!counted_client_) {
    return smtp::make_reply(421, "4.7.0",
                            "too many connections from your address; close some first");
  }
  return std::nullopt;
}

void Receiver::connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) {
  static_cast<void>(info);
  wire_ = &wire;
  const base::WorkingOn working(info_.peer.ip);
  if (const std::optional<smtp::Reply> refusal = refuse_connection(now)) {
    refuse(*refusal, "connection", "", now);
    session_.refuse(*refusal, now.instant);
  } else if (may_relay_ || reception_.greeting_pause == base::Duration::zero()) {
    session_.greet(now.instant);
  } else {
    greet_at_ = now.instant + reception_.greeting_pause;
  }
  pump(now);
}

void Receiver::receive(std::string_view bytes, base::Now now) {
  const base::WorkingOn working(info_.peer.ip);
  greet_at_ = base::kNever;
  session_.receive(bytes, now.instant);
  pump(now);
}

void Receiver::peer_closed(base::Now now) {
  const base::WorkingOn working(info_.peer.ip);
  session_.peer_closed(now.instant);
  pump(now);
}

void Receiver::lost(const net::Loss& loss, base::Now now) {
  static_cast<void>(loss);
  session_.lost(now.instant);
  pump(now);
}

void Receiver::deadline_reached(base::Now now) {
  const base::WorkingOn working(info_.peer.ip);
  if (greet_at_ <= now.instant) {
    greet_at_ = base::kNever;
    session_.greet(now.instant);
  } else {
    session_.deadline_reached(now.instant);
  }
  pump(now);
}

void Receiver::turn(base::Now now) {
  const base::WorkingOn working(info_.peer.ip);
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
  return session_.wants_input() && chunks_ahead_ < kChunksAheadMax;
}

void Receiver::pump(base::Now now) {
  if (reception_.stopping && incoming_ == nullptr && !session_.is_over()) {
    session_.close_with(
        smtp::make_reply(421, "4.3.2", "this server is being stopped; try again later"),
        now.instant);
  }
  while (std::optional<smtp::ServerEvent> event = session_.next_event(now.instant)) {
    std::visit([this, now](const auto& what) { on(what, now); }, *event);
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
  if (!reception_.clients.try_message(info_.peer.ip, listener_.settings->rate, now.instant)) {
    return smtp::make_reply(450, "4.7.1",
                            "too many messages from your address: at most " +
                                base::format_rate(listener_.settings->rate) +
                                " here; try again later");
  }
  return std::nullopt;
}

void Receiver::on(const smtp::SenderOffered& event, base::Now now) {
  if (const std::optional<smtp::Reply> refusal = refuse_sender(event, now)) {
    return refuse(*refusal, "sender", mail::format_address(event.sender), now);
  }
  incoming_ =
      std::make_unique<Incoming>(event.sender, event.eight_bit, event.size, reception_.memory);
  session_.answer(smtp::make_reply(250, "2.1.0", "sender ok"), now.instant);
}

void Receiver::on(const smtp::RecipientOffered& event, base::Now now) {
  RecipientDecision decision = decide_recipient(settings_, event.recipient, may_relay_);
  if (const auto* taken = std::get_if<Taken>(&decision))
    return take_recipient(event.recipient, taken->addresses, now);
  if (const auto* not_taken = std::get_if<NotTaken>(&decision)) {
    return refuse(not_taken->reply, "recipient", mail::format_address(event.recipient), now);
  }
  const std::string address = std::get<AskNextHop>(decision).address;
  reception_.probe.ask(
      address, [self = self_, address, offered = event.recipient](const smtp::Reply& reply) {
        Receiver* receiver = *self;
        // Without a transaction the connection was lost, and only the end of it is still to come.
        if (receiver == nullptr || receiver->incoming_ == nullptr) return;
        const base::Now later = receiver->reception_.loop.now();
        if (reply.is_success()) {
          receiver->take_recipient(offered, {address}, later);
        } else {
          receiver->refuse(reply, "recipient", address, later);
        }
        receiver->wire_->want_turn();
      });
}

void Receiver::take_recipient(const mail::Address& offered,
                              const std::vector<std::string>& addresses, base::Now now) {
  if (incoming_->recipients().size() + addresses.size() > kAddressesMax) {
    return refuse(smtp::make_reply(452, "4.5.3", "too many addresses behind these aliases"),
                  "recipient", mail::format_address(offered), now);
  }
  incoming_->add_recipient(offered, addresses);
  session_.answer(smtp::make_reply(250, "2.1.5", "recipient ok"), now.instant);
}

// Answers, and leaves a line in the log for whoever asks why.
void Receiver::refuse(const smtp::Reply& reply, std::string_view what, std::string_view address,
                      base::Now now) {
  {
    base::LogLine line = reception_.log.line(base::Level::Info, "rejected");
    line.field("what", what)
        .field("client", base::format_ip_address(info_.peer.ip))
        .field("helo", helo_);
    if (incoming_ != nullptr) line.path("from", mail::format_address(incoming_->sender()));
    if (!address.empty()) line.path(what == "sender" ? "from" : "to", address);
    line.field("listener", listener_.settings->name).field("reply", smtp::one_line(reply));
  }
  if (session_.has_open_question()) session_.answer(reply, now.instant);
}

void Receiver::on(const smtp::DataWanted& event, base::Now now) {
  static_cast<void>(event);
  id_ = reception_.ids.next(now.wall);
  chunks_ = 0;
  chunk_error_.clear();
  session_.answer(smtp::make_reply(354, "", "end with <CRLF>.<CRLF>"), now.instant);
}

void Receiver::on(const smtp::BodyPart& event, base::Now now) {
  static_cast<void>(now);
  incoming_->add_content(event.octets);
  write_full_chunks();
}

void Receiver::write_full_chunks() {
  while (std::shared_ptr<const std::string> chunk = incoming_->take_full_chunk())
    write_chunk(std::move(chunk));
}

void Receiver::write_chunk(std::shared_ptr<const std::string> chunk) {
  ++chunks_ahead_;
  reception_.store.write_chunk(reception_.loop, id_, chunks_++, std::move(chunk),
                               [self = self_](base::Result<void> result) {
                                 Receiver* receiver = *self;
                                 if (receiver == nullptr) return;
                                 --receiver->chunks_ahead_;
                                 if (!result && receiver->chunk_error_.empty())
                                   receiver->chunk_error_ = result.error().text();
                                 receiver->wire_->want_turn();
                               });
}

std::optional<smtp::Reply> Receiver::refuse_content(const mail::HeaderFacts& facts) const {
  if (facts.received > settings_.hops_max || facts.received_own >= kOwnHopsMax) {
    // RFC 5321 §6.3. Whoever bounces this shows the text to a person, so it names the way.
    return smtp::make_reply(554, "5.4.6",
                            "mail loop: this message has passed " + std::to_string(facts.received) +
                                " servers, " + std::to_string(facts.received_own) +
                                " times this one; last: " + name_hops(incoming_->header()));
  }
  if (!chunk_error_.empty())
    return smtp::make_reply(452, "4.3.1", "the message could not be stored; try again later");
  return std::nullopt;
}

void Receiver::on(const smtp::BodyEnded& event, base::Now now) {
  if (event.how != smtp::BodyEnd::Dot) {
    reception_.log.line(base::Level::Info, "rejected")
        .field("what", "content")
        .field("client", base::format_ip_address(info_.peer.ip))
        .field("helo", helo_)
        .path("from", mail::format_address(incoming_->sender()))
        .field("listener", listener_.settings->name)
        .field("reason", reason_of(event.how));
    return drop_message();
  }
  if (event.fixed_line_endings > 0) {
    reception_.log.line(base::Level::Info, "line endings fixed")
        .id(id_)
        .field("client", base::format_ip_address(info_.peer.ip))
        .field("count", event.fixed_line_endings);
  }
  incoming_->finish_content();
  commit(now);
}

std::shared_ptr<queue::Message> Receiver::make_message(const mail::HeaderFacts& facts,
                                                       base::Now now) {
  const Incoming& incoming = *incoming_;
  auto message = std::make_shared<queue::Message>();
  message->id = id_;
  message->sender = mail::format_address(incoming.sender());
  message->client = {info_.peer.ip, helo_, listener_.settings->name};
  message->accepted = now.wall;
  mail::ReceivedStamp stamp;
  stamp.helo = helo_;
  stamp.client = info_.peer.ip;
  stamp.hostname = settings_.hostname;
  stamp.protocol = session_.is_extended() ? mail::WithProtocol::Esmtp : mail::WithProtocol::Smtp;
  stamp.id = id_;
  stamp.only_recipient = incoming.only_offered();
  stamp.now = now.wall;
  std::string& header = message->header_block;
  header.reserve(incoming.header().size() + 512);
  header = mail::format_received(stamp);
  header += incoming.header();
  // RFC 6409 §8.1 and §8.2: what devices forget is added for those whose mail we send; mail that
  // only passes through stays as it is.
  if (may_relay_ && !facts.has_date)
    header.append("Date: ").append(mail::format_date(now.wall)).append("\r\n");
  if (may_relay_ && !facts.has_message_id) {
    header.append("Message-ID: <")
        .append(base::format_id(id_))
        .append("@")
        .append(settings_.hostname)
        .append(">\r\n");
  }
  header += incoming.separator();
  message->body_octets = incoming.body_octets();
  message->eight_bit = incoming.eight_bit();
  message->recipients = static_cast<std::uint32_t>(incoming.recipients().size());
  return message;
}

std::vector<queue::Delivery> Receiver::make_deliveries(base::WallTime now) const {
  std::vector<queue::Delivery> deliveries;
  deliveries.reserve(incoming_->recipients().size());
  const std::string sender = mail::format_address(incoming_->sender());
  for (const std::string& recipient : incoming_->recipients()) {
    queue::Delivery& delivery = deliveries.emplace_back();
    delivery.number = static_cast<std::uint32_t>(deliveries.size());
    delivery.recipient = recipient;
    delivery.destination =
        reception_.destination_of(recipient, sender, listener_.settings->name, info_.peer.ip);
    delivery.due = now;
  }
  return deliveries;
}

void Receiver::commit(base::Now now) {
  const mail::HeaderFacts facts = mail::look_at_header(incoming_->header(), settings_.hostname);
  if (const std::optional<smtp::Reply> refusal = refuse_content(facts)) {
    refuse(*refusal, "content", "", now);
    return drop_message();
  }
  std::shared_ptr<queue::Message> message = make_message(facts, now);
  std::vector<queue::Delivery> deliveries = make_deliveries(now.wall);
  std::shared_ptr<const std::string> rest = incoming_->take_rest();
  if (chunks_ > 0) {
    if (rest != nullptr) write_chunk(std::move(rest));
    // The store's from now on: a reset of the next transaction must not drop them.
    message->body_chunks = std::exchange(chunks_, 0);
  } else {
    message->body_chunks = rest != nullptr ? 1 : 0;
    message->body = std::move(rest);
  }
  incoming_.reset();
  committing_ = true;
  const queue::MessagePointer shared = queue::counted(std::move(message), reception_.memory);
  queue::Change change = queue::accepted(*shared, deliveries);
  reception_.store.commit(reception_.loop, std::move(change),
                          [&reception = reception_, self = self_, shared,
                           deliveries = std::move(deliveries)](base::Result<void> result) mutable {
                            Receiver* receiver = *self;
                            if (receiver != nullptr) receiver->committed(result, shared->id);
                            if (!result) return;
                            // The line ends before hand_in(), which may write lines, too.
                            reception.log.line(base::Level::Info, "accepted")
                                .id(shared->id)
                                .path("from", shared->sender)
                                .path("to", deliveries.front().recipient)
                                .field("recipients", deliveries.size())
                                .field("client", base::format_ip_address(shared->client.address))
                                .field("helo", shared->client.helo)
                                .field("listener", shared->client.listener)
                                .field("size", shared->header_block.size() + shared->body_octets);
                            reception.hand_in(shared, std::move(deliveries));
                          });
}

void Receiver::committed(base::Result<void> result, base::MessageId id) {
  committing_ = false;
  const base::Now now = reception_.loop.now();
  if (result) {
    session_.answer(smtp::make_reply(250, "2.0.0", "queued as " + base::format_id(id)),
                    now.instant);
  } else {
    // Its outcome is unknown, so its chunks stay: what of it is there after reopening is delivered.
    refuse(smtp::make_reply(452, "4.3.1",
                            "the message could not be stored for certain; send it again later"),
           "content", "", now);
  }
  wire_->want_turn();
}

void Receiver::on(const smtp::TransactionReset& event, base::Now now) {
  static_cast<void>(event);
  static_cast<void>(now);
  drop_message();
}

void Receiver::on(const smtp::SessionOver& event, base::Now now) {
  static_cast<void>(now);
  if (event.reason == smtp::CloseReason::Quit || event.reason == smtp::CloseReason::Refused) return;
  reception_.log.line(base::Level::Debug, "session ended")
      .field("client", base::format_ip_address(info_.peer.ip))
      .field("helo", helo_)
      .field("reason", smtp::close_reason_name(event.reason));
}

void Receiver::drop_message() {
  if (incoming_ == nullptr) return;
  incoming_.reset();
  if (chunks_ > 0) reception_.store.drop_chunks(id_, std::exchange(chunks_, 0));
}

}  // namespace rockdove::inbound
