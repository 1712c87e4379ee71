// What a Receiver does with a message's content: header and body on their way to the store, and the
// commit, after which the client hears 250.
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/counters.h"
#include "mta/base/text.h"
#include "mta/inbound/receiver.h"
#include "mta/mail/date.h"
#include "mta/mail/headers.h"
#include "mta/mail/received.h"
#include "queue/note.h"

namespace rockdove::inbound {
namespace {

// A message may come back once or twice on purpose (a content filter, a forwarding): more is a
// loop.
constexpr std::size_t kOwnHopsMax = 4;
constexpr std::size_t kHopsNamedMax = 12;

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

// How the message came, for the log.
struct Arrival {
  std::uint64_t session;
  std::string_view mechanism;
  std::string client;  // as Receiver::client_text()
  std::optional<std::uint32_t> local_user;
};

void log_acceptance(base::Log& log, const queue::Message& message,
                    const std::vector<queue::Delivery>& deliveries, const Arrival& arrival) {
  base::count(base::Counter::MessagesAccepted);
  base::count(base::Counter::OctetsAccepted, message.header_block.size() + message.body_octets);
  base::LogLine line = log.line(base::Level::Info, "accepted");
  line.id(message.id)
      .path("from", message.sender)
      .path("to", deliveries.front().recipient)
      .field("recipients", deliveries.size())
      .field("client", arrival.client)
      .field("helo", message.client.helo)
      .field("listener", message.client.listener)
      .field("size", message.header_block.size() + message.body_octets);
  if (!message.client.user.empty()) line.field("user", message.client.user);
  if (arrival.local_user) line.field("uid", *arrival.local_user);
  if (!message.client.tls.empty()) line.field("tls", message.client.tls);
  const queue::Delivery& first = deliveries.front();
  if (!message.tenant.empty()) line.field("tenant", message.tenant);
  if (!message.campaign.empty()) line.field("campaign", message.campaign);
  if (first.priority != 0) line.field("priority", queue::priority_of(first.priority));
  if (queue::is_scheduled(first, message.accepted))
    line.field("send_at", base::format_timestamp(first.due));
  if (!log.wants_details()) return;
  line.detail("session", arrival.session)
      .detail("mechanism", arrival.mechanism)
      .detail("message_id", mail::message_id_of(message.header_block));
}

}  // namespace

void Receiver::on(const smtp::DataWanted& event, base::Now now) {
  static_cast<void>(event);
  const bool is_whole = file_.name.empty() || incoming_->offered() == file_.recipients;
  if (is_incomplete_ || !is_whole) {
    drop_message();
    return session_.answer(smtp::make_reply(452, "4.5.3", "not all recipients can be taken now"),
                           now.instant);
  }
  id_ = reception_.ids.next(now.wall);
  chunks_ = 0;
  chunk_error_.clear();
  session_.answer(smtp::make_reply(354, "", "end with <CRLF>.<CRLF>"), now.instant);
}

void Receiver::on(const smtp::BodyPart& event, base::Now now) {
  static_cast<void>(now);
  const bool is_too_much =
      incoming_->memory() > kHeldWhenShort && !reception_.memory.has_room_to_accept();
  if (is_too_much) incoming_->forget_content();
  incoming_->add_content(event.octets);
  write_full_chunks();
}

void Receiver::write_full_chunks() {
  while (std::shared_ptr<const std::string> chunk = incoming_->take_full_chunk()) {
    hear_wishes();
    if (inspection_ != nullptr) inspection_->take_body(incoming_->header(), chunk);
    write_chunk(std::move(chunk));
  }
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
  if (incoming_->is_forgotten())
    return smtp::make_reply(452, "4.3.1", "too much mail at once; try again in a minute");
  // Behind the limit there may be fields that a reader sees and no check does.
  if (!client_may_relay() && incoming_->separator().empty())
    return smtp::make_reply(552, "5.3.4", "the header is too large");
  if (!*wishes_) return smtp::make_reply(550, "5.6.0", wishes_->error().text());
  if (!chunk_error_.empty())
    return smtp::make_reply(452, "4.3.1", "the message could not be stored; try again later");
  return std::nullopt;
}

void Receiver::on(const smtp::BodyEnded& event, base::Now now) {
  if (event.how != smtp::BodyEnd::Dot) {
    // The session says 5.3.4 or 5.6.0.
    base::count(event.how == smtp::BodyEnd::TooBig ? base::Counter::RefusedPermanentSystem
                                                   : base::Counter::RefusedPermanentContent);
    reception_.log.line(base::Level::Info, "rejected")
        .detail("session", number_)
        .detail("proto", session_.is_extended() ? "ESMTP" : "SMTP")
        .field("what", "content")
        .field("client", client_text())
        .field("helo", helo_)
        .path("from", mail::format_address(incoming_->sender()))
        .field("listener", listener_.settings->name)
        .field("reason", reason_of(event.how));
    return drop_message();
  }
  if (event.fixed_line_endings > 0) {
    reception_.log.line(base::Level::Info, "line endings fixed")
        .id(id_)
        .field("client", client_text())
        .field("count", event.fixed_line_endings);
  }
  incoming_->finish_content();
  content_ended(now);
}

std::shared_ptr<queue::Message> Receiver::make_message(const std::string& results, base::Now now) {
  const Incoming& incoming = *incoming_;
  auto message = std::make_shared<queue::Message>();
  message->id = id_;
  message->sender = mail::format_address(incoming.sender());
  message->client = {info_.peer.ip, helo_, listener_.settings->name, user(), tls_};
  message->accepted = now.wall;
  message->smtputf8 = incoming.needs_utf8();
  message->envelope_id = incoming.envelope_id();
  message->returned = incoming.returned();
  take_wishes(*message);
  message->header_block = make_header(results, *message, now);
  message->body_octets = incoming.body_octets();
  message->eight_bit = incoming.eight_bit();
  message->recipients = static_cast<std::uint32_t>(
      incoming.recipients().size() + incoming.expanded().size() + incoming.refused().size());
  return message;
}

std::string Receiver::make_header(const std::string& results, const queue::Message& message,
                                  base::Now now) const {
  const Incoming& incoming = *incoming_;
  mail::ReceivedStamp stamp;
  stamp.helo = helo_;
  if (is_local_user()) {
    stamp.local_user = info_.credentials->user;
  } else {
    stamp.client = info_.peer.ip;
  }
  stamp.hostname = settings_.hostname;
  stamp.protocol = session_.is_extended() ? mail::WithProtocol::Esmtp : mail::WithProtocol::Smtp;
  stamp.tls = tls_;
  stamp.authenticated = !session_.user().empty();
  stamp.utf8 = incoming.utf8();
  stamp.id = id_;
  stamp.only_recipient = incoming.only_offered();
  // Our own field must not be what makes a message need SMTPUTF8: an alias may be ASCII behind.
  if (stamp.only_recipient != nullptr && is_unicode(*stamp.only_recipient) && !message.smtputf8)
    stamp.only_recipient = nullptr;
  stamp.now = now.wall;
  std::string header;
  header.reserve(results.size() + incoming.header().size() + 512);
  header = results;
  header += mail::format_received(stamp);
  append_received_header(header);
  // RFC 6409 §8.1 and §8.2: what devices forget is added for those whose mail we send; mail that
  // only passes through stays as it is.
  const mail::HeaderFacts facts = mail::look_at_header(incoming.header(), settings_.hostname);
  if (client_may_relay() && !facts.has_date)
    header.append("Date: ").append(mail::format_date(now.wall)).append("\r\n");
  if (client_may_relay() && !facts.has_message_id) {
    header.append("Message-ID: <")
        .append(base::format_id(id_))
        .append("@")
        .append(settings_.hostname)
        .append(">\r\n");
  }
  return header;
}

std::vector<queue::Delivery> Receiver::make_deliveries(base::WallTime now) const {
  std::vector<queue::Delivery> deliveries;
  deliveries.reserve(incoming_->recipients().size());
  const std::string sender = mail::format_address(incoming_->sender());
  for (const Incoming::Recipient& recipient : incoming_->recipients()) {
    queue::Delivery& delivery = deliveries.emplace_back();
    delivery.number = static_cast<std::uint32_t>(deliveries.size());
    delivery.recipient = recipient.address;
    delivery.notify = recipient.notify;
    delivery.original_recipient = recipient.original;
    delivery.alias = recipient.alias;
    delivery.due = now;
    delivery.destination = reception_.destination_of(
        {recipient.address, sender, listener_.settings->name, info_.peer.ip, user()});
  }
  for (const Incoming::Recipient& alias : incoming_->expanded()) {
    queue::Delivery& delivery = deliveries.emplace_back();
    delivery.number = static_cast<std::uint32_t>(deliveries.size());
    delivery.recipient = alias.address;
    delivery.notify = alias.notify;
    delivery.original_recipient = alias.original;
    const std::size_t at = alias.address.rfind('@');
    delivery.destination =
        at == std::string::npos ? settings_.hostname : alias.address.substr(at + 1);
    delivery.final_status = "2.1.5";
    delivery.ending = queue::Ending::Expanded;
    delivery.due = now;
  }
  for (const Incoming::Refused& refused : incoming_->refused()) {
    queue::Delivery& delivery = deliveries.emplace_back();
    delivery.number = static_cast<std::uint32_t>(deliveries.size());
    delivery.recipient = refused.recipient.address;
    delivery.notify = refused.recipient.notify;
    delivery.original_recipient = refused.recipient.original;
    delivery.destination = settings_.hostname;
    delivery.last = {now, "", smtp::one_line(refused.reply), ""};
    delivery.final_status =
        refused.reply.enhanced ? mail::format_enhanced_code(*refused.reply.enhanced) : "5.0.0";
    delivery.ending = queue::Ending::Failed;
    delivery.due = now;
  }
  take_wishes(deliveries, now);
  return deliveries;
}

void Receiver::content_ended(base::Now now) {
  hear_wishes();
  const mail::HeaderFacts facts = mail::look_at_header(incoming_->header(), settings_.hostname);
  if (const std::optional<smtp::Reply> refusal = refuse_content(facts)) {
    refuse(*refusal, "content", "", now);
    return drop_message();
  }
  rest_ = incoming_->take_rest();
  if (inspection_ != nullptr) {
    return inspection_->judge(incoming_->header(), rest_,
                              [this](const Inspected& inspected) { judged(inspected); });
  }
  std::shared_ptr<queue::Message> message = make_message("", now);
  message->header_block += incoming_->separator();
  commit(std::move(message), make_deliveries(now.wall));
}

void Receiver::commit(std::shared_ptr<queue::Message> message,
                      std::vector<queue::Delivery> deliveries) {
  std::shared_ptr<const std::string> rest = std::exchange(rest_, nullptr);
  if (chunks_ > 0) {
    if (rest != nullptr) write_chunk(std::move(rest));
    // The store's from now on: a reset of the next transaction must not drop them.
    message->body_chunks = std::exchange(chunks_, 0);
  } else {
    message->body_chunks = rest != nullptr ? 1 : 0;
    message->body = std::move(rest);
  }
  inspection_.reset();
  incoming_.reset();
  wishes_.reset();
  committing_ = true;
  const queue::MessagePointer shared = queue::counted(std::move(message), reception_.memory);
  queue::Change change = queue::accepted(*shared, deliveries);
  if (!file_.name.empty()) {
    change.join(queue::noted_if_accepted(kDroppedNotes, file_.name, base::format_id(shared->id)));
  }
  reception_.store.commit(
      reception_.loop, std::move(change),
      [&reception = reception_, self = self_, shared,
       arrival = Arrival{number_, mechanism(), client_text(), local_user_number()},
       deliveries = std::move(deliveries)](base::Result<void> result) mutable {
        Receiver* receiver = *self;
        if (receiver != nullptr) receiver->committed(result, shared->id);
        if (!result) return;
        log_acceptance(reception.log, *shared, deliveries, arrival);
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

void Receiver::drop_message() {
  if (incoming_ == nullptr) return;
  inspection_.reset();
  rest_.reset();
  incoming_.reset();
  wishes_.reset();
  if (chunks_ > 0) reception_.store.drop_chunks(id_, std::exchange(chunks_, 0));
}

}  // namespace rockdove::inbound
