// Mail that waits, and what is known of it; for the tests of mta/admin/why.h.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "mta/admin/why.h"
#include "tests/unit/admin/admin_world.h"

namespace rockdove::test {

using admin::Whereabouts;
using admin::Why;

struct Case {
  Case() {
    message.id = {1'795'292'100'000ULL << 20};
    message.accepted = kStart - 1h - 1min;
    message.sender = "a@here.example";
    delivery.number = 1;
    delivery.recipient = "bob@example.net";
    delivery.destination = "example.net";
    delivery.attempts = 1;
    delivery.due = kStart + 4min;
    delivery.last = {kStart - 1min, "mx.example.net[192.0.2.1]:25", ""};
    where.place = Whereabouts::Place::OnDisk;
    where.room = 16;
    settings.queue.lifetime = 120h;
    settings.connections_out = 500;
  }

  [[nodiscard]] Why why() const {
    return admin::explain_why(message, delivery, history, where, settings, kStart);
  }

  [[nodiscard]] Why why(std::string reply) {
    delivery.last.reply = std::move(reply);
    return why();
  }

  // Put on hold for this.
  [[nodiscard]] Why held(const std::string& reason) {
    delivery.state = queue::DeliveryState::Held;
    delivery.hold_reason = reason;
    return why();
  }

  void add_step(const std::string& what, const std::string& reply) {
    queue::HistoryStep step;
    step.delivery = {message.id, 1};
    step.at = kStart - 2h;
    step.what = what;
    step.reply = reply;
    history.push_back(std::move(step));
  }

  // Due, and in memory.
  [[nodiscard]] Why in_memory(Whereabouts::Gate gate) {
    delivery.due = kStart - 1s;
    where.place = Whereabouts::Place::InMemory;
    where.gate = gate;
    where.site = "mx:mx.example.net";
    return why();
  }

  queue::Message message;
  queue::Delivery delivery;
  std::vector<queue::HistoryStep> history;
  Whereabouts where;
  admin::WhySettings settings;
};

inline bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

inline bool has_setting(const Why& why, const std::string& name, const std::string& value) {
  return std::find(why.settings.begin(), why.settings.end(), std::pair(name, value)) !=
         why.settings.end();
}

inline bool tells(const Why& why, std::string_view text) {
  return std::any_of(why.advice.begin(), why.advice.end(),
                     [text](const auto& advice) { return advice.text.starts_with(text); });
}

inline bool advises(const Why& why, std::string_view command) {
  return std::any_of(why.advice.begin(), why.advice.end(),
                     [command](const auto& advice) { return advice.command.starts_with(command); });
}

}  // namespace rockdove::test
