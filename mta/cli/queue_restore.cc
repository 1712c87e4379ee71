#include "mta/cli/queue_restore.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include "mta/admin/content_check.h"
#include "mta/daemon/lock.h"
#include "mta/daemon/privileges.h"
#include "mta/http/target.h"
#include "queue/ledger.h"
#include "queue/reading.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Error;
using base::Result;

namespace {

// Of a request's 64 KiB.
constexpr std::size_t kPieceOctets = 60 * 1024;
constexpr base::Duration kTakenWithin = std::chrono::seconds(60);
// An import that was cut off is in the way for 10 s, a queue that cannot keep up for about as long.
constexpr std::chrono::milliseconds kBetweenTries{250};
constexpr int kTriesMax = 120;
constexpr unsigned kBusyStatus = 503;

std::optional<Restored::Outcome> parse_outcome(std::string_view word) {
  if (word == "taken") return Restored::Outcome::Taken;
  if (word == "known") return Restored::Outcome::Known;
  if (word == "deleted") return Restored::Outcome::Deleted;
  return std::nullopt;
}

class DaemonTarget final : public RestoreTarget {
 public:
  explicit DaemonTarget(std::unique_ptr<ControlClient> client) : client_(std::move(client)) {}

  [[nodiscard]] Result<Restored> restore(const admin::Envelope& envelope, ContentSource& content,
                                         queue::OfDeleted deleted) override {
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
      http::Target target{"/v1/queue/import",
                          {{"id", base::format_id(envelope.stored.message.id)},
                           {"envelope", std::to_string(envelope_octets)},
                           {"content", std::to_string(content.size())},
                           {"at", std::to_string(at)}}};
      if (deleted == queue::OfDeleted::Take) target.parameters.emplace_back("deleted", "take");
      const Result<Json> answer = ask(http::format_target(target), piece, at == 0 ? kTriesMax : 1);
      if (!answer) return answer.error();
      if (const auto outcome = parse_outcome(answer->value("outcome", ""))) {
        return Restored{*outcome, answer->value("id", "")};
      }
      at += piece.size();
    }
    return Error("the daemon has all of it and did not say that it took it");
  }

 private:
  Result<Json> ask(const std::string& target, const std::string& piece, int tries_max) {
    const http::Request request{
        "POST", target, {{"Content-Type", "application/octet-stream"}}, piece};
    for (int tries = 1;; ++tries) {
      std::string text;
      const Result<void> asked = client_->ask(
          request, [&text](std::string_view line) { text = line; }, kTakenWithin);
      if (!asked && client_->status() == kBusyStatus && tries < tries_max) {
        std::this_thread::sleep_for(kBetweenTries);
        continue;
      }
      if (!asked) return asked.error().in("rockdove");
      Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
      if (!json.is_object()) return Error("the daemon's answer makes no sense");
      return json;
    }
  }

  std::unique_ptr<ControlClient> client_;
};

class RowsTarget final : public RestoreTarget {
 public:
  explicit RowsTarget(queue::Rows& rows) : rows_(rows), ledger_(rows) {}

  [[nodiscard]] Result<void> open() { return ledger_.open(); }

  [[nodiscard]] Result<Restored> restore(const admin::Envelope& envelope, ContentSource& content,
                                         queue::OfDeleted deleted) override {
    queue::StoredMessage stored = envelope.stored;
    queue::IdSearch search(stored.message, {}, deleted, base::read_clocks().wall);
    while (const std::optional<base::MessageId> id = search.next()) {
      queue::Damaged damaged;
      const Result<queue::MessageView> view = queue::view_message(rows_, *id, damaged);
      if (!view) return view.error();
      if (!damaged.empty()) return damaged.front();
      search.found(queue::presence_of(*view, stored));
    }
    stored.message.id = search.id();
    const std::string id = base::format_id(stored.message.id);
    switch (search.outcome()) {
      case queue::IdSearch::Outcome::Known:
        return Restored{Restored::Outcome::Known, id};
      case queue::IdSearch::Outcome::Deleted:
        return Restored{Restored::Outcome::Deleted, id};
      case queue::IdSearch::Outcome::Taken:
        return Error(std::string(queue::IdSearch::kTakenText));
      case queue::IdSearch::Outcome::Free:
        break;
    }
    if (Result<void> written = write(stored, content); !written) {
      static_cast<void>(ledger_.drop_chunks(stored.message.id));
      return written.error();
    }
    return Restored{Restored::Outcome::Taken, id};
  }

 private:
  [[nodiscard]] Result<void> write(queue::StoredMessage& stored, ContentSource& content) {
    queue::Message& message = stored.message;
    admin::ContentCheck check;
    Result<std::string> header = read(content, stored.header_octets);
    if (!header) return header.error();
    if (Result<void> checked = check.header(*header); !checked) return checked;
    message.header_block = *std::move(header);
    std::uint64_t left = message.body_octets;
    for (std::uint32_t chunk = 0; message.body_chunks > 1 && chunk < message.body_chunks; ++chunk) {
      Result<std::string> octets =
          read(content, std::min<std::uint64_t>(left, queue::kBodyChunkOctets));
      if (!octets) return octets.error();
      check.body(*octets);
      left -= octets->size();
      Result<void> written = ledger_.write_chunk(
          message.id, chunk, std::make_shared<const std::string>(*std::move(octets)));
      if (!written) return written;
    }
    if (message.body_chunks <= 1) {
      Result<std::string> body = read(content, left);
      if (!body) return body.error();
      check.body(*body);
      message.body = std::make_shared<const std::string>(*std::move(body));
    }
    if (Result<void> checked = check.finish(); !checked) return checked;
    message.eight_bit = message.eight_bit || check.is_eight_bit();
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

  [[nodiscard]] Result<Restored> restore(const admin::Envelope& envelope, ContentSource& content,
                                         queue::OfDeleted deleted) override {
    return target_->restore(envelope, content, deleted);
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
