#include "mta/admin/rescue_jobs.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "mta/admin/content_check.h"
#include "mta/admin/envelope_text.h"
#include "mta/admin/user_name.h"
#include "queue/restore.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;
using base::Error;
using base::MessageId;
using base::Result;

namespace {

std::optional<MessageId> id_in(const http::Target& target) {
  const std::string* id = target.find("id");
  return id == nullptr ? std::nullopt : base::parse_message_id(*id);
}

// Where a piece belongs.
struct Place {
  MessageId id;
  std::uint64_t envelope = 0;  // octets of each in all
  std::uint64_t content = 0;
  std::uint64_t at = 0;
  queue::OfDeleted deleted = queue::OfDeleted::Leave;
};

Result<Place> parse_place(const http::Target& target) {
  Place place;
  const std::optional<MessageId> id = id_in(target);
  if (!id) return Error("id= must be the id of a message, like 3ZzBCDFGHJKL");
  place.id = *id;
  const auto read = [&target](const char* name, std::uint64_t& number) {
    const std::string* text = target.find(name);
    if (text == nullptr) return false;
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, number);
    return error == std::errc() && stop == end;
  };
  if (!read("envelope", place.envelope) || !read("content", place.content) ||
      !read("at", place.at)) {
    return Error("envelope=, content= and at= must be numbers of octets");
  }
  if (place.envelope == 0 || place.envelope > kEnvelopeOctetsMax ||
      place.content > kContentOctetsMax) {
    return Error("the message is too large");
  }
  if (const std::string* deleted = target.find("deleted"); deleted != nullptr) {
    if (*deleted != "take") return Error("deleted= can only be `take`");
    place.deleted = queue::OfDeleted::Take;
  }
  return place;
}

}  // namespace

void start_envelope(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange) {
  const std::optional<MessageId> id = id_in(exchange->target());
  if (!id) return exchange->refuse(400, "id= must be the id of a message, like 3ZzBCDFGHJKL");
  store.view(loop, *id, [&loop, &store, exchange, id = *id](Result<queue::MessageView> view) {
    if (!view) return exchange->refuse(500, view.error().text());
    if (view->message == nullptr || view->deliveries.empty()) {
      return exchange->refuse(404, "there is no such message in the queue");
    }
    auto stored = std::make_shared<Envelope>();
    stored->stored.message = *view->message;
    stored->stored.header_octets = view->message->header_block.size();
    stored->stored.deliveries = std::move(view->deliveries);
    store.read_report_state(loop, id, [exchange, stored](const Result<queue::ReportState>& state) {
      if (!state) return exchange->refuse(500, state.error().text());
      stored->stored.reports = *state;
      exchange->answer(200, format_envelope(*stored, Layout::Line));
    });
  });
}

// One message on its way in. Whoever waits for the store keeps it.
class Imports::Import : public std::enable_shared_from_this<Import> {
 public:
  Import(const Services& services, const Place& place) : services_(services), place_(place) {}

  [[nodiscard]] bool is_over() const { return state_ == State::Over; }

  [[nodiscard]] bool is_silent(base::Instant now) const {
    return exchange_ == nullptr && now - heard_ > kSilenceMax;
  }

  [[nodiscard]] bool takes(const Place& place) const {
    return state_ != State::Over && exchange_ == nullptr && place.id == place_.id &&
           place.envelope == place_.envelope && place.content == place_.content &&
           place.deleted == place_.deleted && place.at == received_;
  }

  void piece(const std::shared_ptr<Exchange>& exchange) {
    exchange_ = exchange;
    heard_ = services_.loop.now().instant;
    const std::string& octets = exchange->request().body;
    if (octets.empty() || octets.size() > place_.envelope + place_.content - received_) {
      return refuse(400, "a piece is empty, or goes beyond the message");
    }
    received_ += octets.size();
    unread_ += octets;
    go_on();
  }

  // It will not be taken; what the store has of it goes. (At the end of the process the next start
  // does that.)
  void abandon() {
    if (chunks_ > 0 && state_ != State::Over) {
      services_.store.drop_chunks(stored_.message.id, chunks_);
    }
    state_ = State::Over;
  }

 private:
  enum class State : std::uint8_t { Envelope, Looking, Content, Over };

  void go_on() {
    switch (state_) {
      case State::Envelope:
        return read_envelope();
      case State::Content:
        return read_content();
      case State::Looking:
      case State::Over:
        return;
    }
  }

  void read_envelope() {
    if (unread_.size() < place_.envelope) return answer_more();
    const std::string_view text =
        std::string_view(unread_).substr(0, static_cast<std::size_t>(place_.envelope));
    Result<Envelope> envelope = parse_envelope(text);
    if (!envelope) return refuse(400, envelope.error().text());
    stored_ = std::move(envelope->stored);
    const std::uint64_t content = stored_.header_octets + stored_.message.body_octets;
    if (stored_.message.id != place_.id || content != place_.content) {
      return refuse(400, "the envelope is about another message than the request");
    }
    unread_.erase(0, static_cast<std::size_t>(place_.envelope));
    search_.emplace(stored_.message, services_.own_ids, place_.deleted, services_.loop.now().wall);
    state_ = State::Looking;
    look();
  }

  // Whether the queue knows it, and by which id it can come in.
  void look() {
    const std::optional<MessageId> id = search_->next();
    if (!id) return found();
    services_.store.view(services_.loop, *id,
                         [self = shared_from_this()](const Result<queue::MessageView>& view) {
                           if (self->state_ != State::Looking) return;
                           if (!view) return self->refuse(500, view.error().text());
                           self->search_->found(queue::presence_of(*view, self->stored_));
                           self->look();
                         });
  }

  void found() {
    stored_.message.id = search_->id();
    switch (search_->outcome()) {
      case queue::IdSearch::Outcome::Known:
        return end("known");
      case queue::IdSearch::Outcome::Deleted:
        return end("deleted");
      case queue::IdSearch::Outcome::Taken:
        return refuse(409, queue::IdSearch::kTakenText);
      case queue::IdSearch::Outcome::Free:
        break;
    }
    if (services_.store.readiness() != queue::Readiness::Ready) {
      return refuse(503, "the queue takes no mail now; try again");
    }
    state_ = State::Content;
    read_content();
  }

  void read_content() {
    queue::Message& message = stored_.message;
    if (message.header_block.size() < stored_.header_octets) {
      const std::size_t missing = stored_.header_octets - message.header_block.size();
      const std::size_t taken = std::min(missing, unread_.size());
      message.header_block.append(unread_, 0, taken);
      unread_.erase(0, taken);
      if (taken < missing) return answer_more();
      const Result<void> checked = check_.header(message.header_block);
      if (!checked) return refuse(400, checked.error().text());
    }
    const std::uint64_t body_left =
        message.body_octets - std::uint64_t{chunks_} * queue::kBodyChunkOctets;
    const std::uint64_t chunk_octets = std::min<std::uint64_t>(body_left, queue::kBodyChunkOctets);
    const bool has_chunk = chunks_ < message.body_chunks && unread_.size() >= chunk_octets;
    if (has_chunk && message.body_chunks > 1) return write_chunk(chunk_octets);
    if (received_ == place_.envelope + place_.content) return commit();
    answer_more();
  }

  void write_chunk(std::uint64_t octets) {
    auto chunk = std::make_shared<const std::string>(unread_, 0, octets);
    unread_.erase(0, octets);
    check_.body(*chunk);
    services_.store.write_chunk(services_.loop, stored_.message.id, chunks_++, std::move(chunk),
                                [self = shared_from_this()](const Result<void>& written) {
                                  if (self->state_ != State::Content) return;
                                  if (!written) return self->refuse(500, written.error().text());
                                  self->read_content();
                                });
  }

  void commit() {
    queue::Message& message = stored_.message;
    if (message.body_chunks <= 1) {
      check_.body(unread_);
      message.body = std::make_shared<const std::string>(std::exchange(unread_, {}));
    }
    if (const Result<void> checked = check_.finish(); !checked) {
      return refuse(400, checked.error().text());
    }
    message.eight_bit = message.eight_bit || check_.is_eight_bit();
    // The store's from now on: after an error it may be there all the same.
    chunks_ = 0;
    services_.store.commit(services_.loop, queue::restored(stored_),
                           [self = shared_from_this()](const Result<void>& written) {
                             if (self->state_ != State::Content) return;
                             if (!written) return self->refuse(500, written.error().text());
                             self->taken();
                           });
  }

  void taken() {
    base::LogLine line = services_.log.line(base::Level::Info, "imported");
    line.id(stored_.message.id).path("from", stored_.message.sender);
    if (stored_.message.id != place_.id) line.field("was", base::format_id(place_.id));
    line.field("deliveries", std::uint64_t{stored_.deliveries.size()});
    if (exchange_ != nullptr && exchange_->peer()) {
      line.field("uid", exchange_->peer()->user);
      const std::string name = name_of_user(exchange_->peer()->user);
      if (!name.empty()) line.field("user", name);
    }
    services_.acts.restored(stored_.deliveries);
    end("taken");
  }

  void answer_more() {
    std::exchange(exchange_, nullptr)->answer(200, Json{{"outcome", "more"}}.dump());
  }

  void end(std::string_view outcome) {
    state_ = State::Over;
    std::exchange(exchange_, nullptr)
        ->answer(200,
                 Json{{"outcome", outcome}, {"id", base::format_id(stored_.message.id)}}.dump());
  }

  void refuse(unsigned status, std::string_view text) {
    abandon();
    std::exchange(exchange_, nullptr)->refuse(status, text);
  }

  const Services services_;
  const Place place_;
  State state_ = State::Envelope;
  std::shared_ptr<Exchange> exchange_;  // the piece that is being worked on
  base::Instant heard_;
  std::uint64_t received_ = 0;
  std::string unread_;
  queue::StoredMessage stored_;
  std::optional<queue::IdSearch> search_;
  ContentCheck check_;
  std::uint32_t chunks_ = 0;  // that the store has been given, and would have to drop
};

Imports::~Imports() = default;

void Imports::piece(const std::shared_ptr<Exchange>& exchange) {
  const Result<Place> place = parse_place(exchange->target());
  if (!place) return exchange->refuse(400, place.error().text());
  if (current_ != nullptr && current_->is_over()) current_ = nullptr;
  if (place->at > 0) {
    if (current_ == nullptr || !current_->takes(*place)) {
      return exchange->refuse(409, "this is not the next piece of the message that comes in");
    }
    return current_->piece(exchange);
  }
  if (current_ != nullptr && !current_->is_silent(services_.loop.now().instant)) {
    return exchange->refuse(503, "another message is being imported; try again");
  }
  if (current_ != nullptr) current_->abandon();
  current_ = std::make_shared<Import>(services_, *place);
  current_->piece(exchange);
}

}  // namespace rockdove::admin
