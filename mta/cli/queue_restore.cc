#include "mta/cli/queue_restore.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include "mta/daemon/lock.h"
#include "mta/daemon/privileges.h"
#include "mta/http/target.h"
#include "queue/ledger.h"
#include "queue/reading.h"
#include "queue/restore.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Error;
using base::Result;

namespace {

// Of a request's 64 KiB.
constexpr std::size_t kPieceOctets = 60 * 1024;
constexpr base::Duration kTakenWithin = std::chrono::seconds(60);

class DaemonTarget final : public RestoreTarget {
 public:
  explicit DaemonTarget(std::unique_ptr<ControlClient> client) : client_(std::move(client)) {}

  [[nodiscard]] Result<Restored> restore(const admin::Envelope& envelope,
                                         ContentSource& content) override {
    std::string unsent = admin::format_envelope(envelope, admin::Layout::Line);
    const std::uint64_t envelope_octets = unsent.size();
    const std::uint64_t octets = envelope_octets + content.size();
    for (std::uint64_t at = 0; at < octets;) {
      while (unsent.size() < kPieceOctets && at + unsent.size() < octets) {
        Result<std::string> more = content.read(kPieceOctets - unsent.size());
        if (!more) return more.error();
        if (more->empty()) return Error("its content ends too early");
        unsent += *more;
      }
      const std::string piece = unsent.substr(0, kPieceOctets);
      unsent.erase(0, piece.size());
      const http::Target target{"/v1/queue/import",
                                {{"id", base::format_id(envelope.stored.message.id)},
                                 {"envelope", std::to_string(envelope_octets)},
                                 {"content", std::to_string(content.size())},
                                 {"at", std::to_string(at)}}};
      const Result<Json> answer = ask(http::format_target(target), piece);
      if (!answer) return answer.error();
      const std::string outcome = answer->value("outcome", "");
      if (outcome == "known" || outcome == "taken") {
        return Restored{outcome == "known" ? Restored::Outcome::Known : Restored::Outcome::Taken,
                        answer->value("id", "")};
      }
      at += piece.size();
    }
    return Error("the daemon has all of it and did not say that it took it");
  }

 private:
  Result<Json> ask(const std::string& target, const std::string& piece) {
    std::string text;
    const Result<void> asked = client_->ask(
        {"POST", target, {{"Content-Type", "application/octet-stream"}}, piece},
        [&text](std::string_view line) { text = line; }, kTakenWithin);
    if (!asked) return asked.error().in("rockdove");
    Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return Error("the daemon's answer makes no sense");
    return json;
  }

  std::unique_ptr<ControlClient> client_;
};

class RowsTarget final : public RestoreTarget {
 public:
  explicit RowsTarget(queue::Rows& rows) : rows_(rows), ledger_(rows) {}

  [[nodiscard]] Result<void> open() { return ledger_.open(); }

  [[nodiscard]] Result<Restored> restore(const admin::Envelope& envelope,
                                         ContentSource& content) override {
    queue::StoredMessage stored = envelope.stored;
    const std::array<base::MessageId, queue::kIdsToTry> ids = queue::ids_for(stored.message.id);
    queue::Presence presence = queue::Presence::Other;
    for (std::size_t i = 0; i < ids.size() && presence == queue::Presence::Other; ++i) {
      queue::Damaged damaged;
      const Result<queue::MessageView> view = queue::view_message(rows_, ids[i], damaged);
      if (!view) return view.error();
      if (!damaged.empty()) return damaged.front();
      stored.message.id = ids[i];
      presence = queue::presence_of(*view, stored);
    }
    if (presence == queue::Presence::Same) {
      return Restored{Restored::Outcome::Known, base::format_id(stored.message.id)};
    }
    if (presence == queue::Presence::Other) {
      return Error("its id, and all that could stand for it, belong to other messages");
    }
    if (Result<void> written = write(stored, content); !written) {
      static_cast<void>(ledger_.drop_chunks(stored.message.id));
      return written.error();
    }
    return Restored{Restored::Outcome::Taken, base::format_id(stored.message.id)};
  }

 private:
  [[nodiscard]] Result<void> write(queue::StoredMessage& stored, ContentSource& content) {
    queue::Message& message = stored.message;
    Result<std::string> header = read(content, stored.header_octets);
    if (!header) return header.error();
    message.header_block = *std::move(header);
    std::uint64_t left = message.body_octets;
    for (std::uint32_t chunk = 0; message.body_chunks > 1 && chunk < message.body_chunks; ++chunk) {
      Result<std::string> octets =
          read(content, std::min<std::uint64_t>(left, queue::kBodyChunkOctets));
      if (!octets) return octets.error();
      left -= octets->size();
      Result<void> written = ledger_.write_chunk(
          message.id, chunk, std::make_shared<const std::string>(*std::move(octets)));
      if (!written) return written;
    }
    if (message.body_chunks <= 1) {
      Result<std::string> body = read(content, left);
      if (!body) return body.error();
      message.body = std::make_shared<const std::string>(*std::move(body));
    }
    const queue::Change change = queue::restored(stored);
    if (Result<void> checked = ledger_.check(change); !checked) return checked;
    const queue::Change* const changes[] = {&change};
    return ledger_.apply(changes);
  }

  static Result<std::string> read(ContentSource& content, std::uint64_t octets) {
    std::string all;
    while (all.size() < octets) {
      const Result<std::string> piece = content.read(octets - all.size());
      if (!piece) return piece.error();
      if (piece->empty()) return Error("its content ends too early");
      all += *piece;
    }
    return all;
  }

  queue::Rows& rows_;
  queue::Ledger ledger_;
};

// Keeps what the rows need.
class StoppedTarget final : public RestoreTarget {
 public:
  StoppedTarget(std::unique_ptr<daemon::StateLock> lock, std::unique_ptr<queue::Rows> rows)
      : lock_(std::move(lock)), rows_(std::move(rows)) {}

  [[nodiscard]] Result<void> open() {
    Result<std::unique_ptr<RestoreTarget>> target = make_rows_target(*rows_);
    if (!target) return target.error();
    target_ = *std::move(target);
    return {};
  }

  [[nodiscard]] Result<Restored> restore(const admin::Envelope& envelope,
                                         ContentSource& content) override {
    return target_->restore(envelope, content);
  }

 private:
  std::unique_ptr<daemon::StateLock> lock_;  // held as long as the rows are open
  std::unique_ptr<queue::Rows> rows_;
  std::unique_ptr<RestoreTarget> target_;
};

}  // namespace

Result<std::unique_ptr<RestoreTarget>> make_rows_target(queue::Rows& rows) {
  auto target = std::make_unique<RowsTarget>(rows);
  if (Result<void> opened = target->open(); !opened) return opened.error();
  return std::unique_ptr<RestoreTarget>(std::move(target));
}

Result<std::unique_ptr<RestoreTarget>> open_restore_target(const QueuePaths& paths,
                                                           const OpenRows& open_rows) {
  auto connected = ControlClient::connect(paths.runtime_dir + "/control.sock");
  if (auto* client = std::get_if<std::unique_ptr<ControlClient>>(&connected)) {
    const Result<void> alive =
        (*client)->ask({"GET", "/v1/alive", {}, ""}, [](std::string_view) {});
    if (!alive) return alive.error().in("rockdove");
    return std::unique_ptr<RestoreTarget>(std::make_unique<DaemonTarget>(std::move(*client)));
  }
  const ControlClient::Refused& refused = std::get<ControlClient::Refused>(connected);
  if (refused.why == ControlClient::Refusal::Other) return refused.error;
  if (Result<void> became = daemon::become_owner_of(paths.state_dir); !became) {
    return became.error();
  }
  Result<std::unique_ptr<daemon::StateLock>> lock = daemon::StateLock::take_alone(paths.state_dir);
  if (!lock) return lock.error();
  Result<std::unique_ptr<queue::Rows>> rows = open_rows(paths.state_dir);
  if (!rows) return rows.error();
  auto target = std::make_unique<StoppedTarget>(*std::move(lock), *std::move(rows));
  if (Result<void> opened = target->open(); !opened) return opened.error();
  return std::unique_ptr<RestoreTarget>(std::move(target));
}

}  // namespace rockdove::cli
