// One explanation of queue why in the making; for the files of mta/admin/why.h only. Each method
// says, adds and advises what it knows of one cause.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/admin/why.h"
#include "mta/admin/why_words.h"
#include "mta/base/text.h"
#include "queue/reason.h"

namespace rockdove::admin {

// Makes one explanation; what it is about stays the same meanwhile.
class Explanation {
 public:
  Explanation(const queue::Message& message, const queue::Delivery& delivery,
              const std::vector<queue::HistoryStep>& history, const Whereabouts& where,
              const std::optional<WhySettings>& settings, base::WallTime now)
      : message_(message),
        delivery_(delivery),
        history_(history),
        where_(where),
        settings_(settings),
        now_(now),
        id_(base::format_id(queue::DeliveryId{message.id, delivery.number})) {
    why_.host = delivery.last.host;
    why_.reply = delivery.last.reply;
  }

  Why make() {
    explain();
    if (delivery_.uncertain > 0 && delivery_.state != queue::DeliveryState::Deleted) {
      add("A connection was lost behind its final dot, so it may have arrived already.");
    }
    return std::move(why_);
  }

 private:
  void explain() {
    if (delivery_.state == queue::DeliveryState::Deleted) return deleted();
    const bool is_held = delivery_.state == queue::DeliveryState::Held;
    const bool has_ended = !is_held && !delivery_.final_status.empty();
    if (is_held) {
      held();
    } else if (has_ended) {
      waits_for_report();
    } else {
      waiting();
    }
    add_last_attempt();
    if (has_ended) return;
    add_detour();
    if (is_held) return;
    if (delivery_.crashes > 0) {
      add("Rockdove itself failed " + count_of(delivery_.crashes, "time") +
          " while it worked on this; soon it goes on hold for that.");
    }
    add_end();
  }

  void say(std::string cause, std::string text) {
    why_.cause = std::move(cause);
    why_.text = std::move(text);
  }

  void add(std::string_view sentence) {
    if (!why_.text.empty()) why_.text += ' ';
    why_.text += sentence;
  }

  void advise(std::string text, std::string command) {
    why_.advice.push_back({std::move(text), std::move(command)});
  }

  // Where a limit of ours keeps it.
  void advise_more(std::string_view key) {
    advise("allow more: raise " + std::string(key) + ", then", "systemctl reload rockdove");
  }

  void advise_queue(std::string text, std::string_view act) {
    advise(std::move(text), "rockdove queue " + std::string(act) + " " + id_);
  }

  void setting(std::string name, std::string value) {
    why_.settings.emplace_back(std::move(name), std::move(value));
  }

  // The last step of this delivery's history with this name; null: there is none.
  [[nodiscard]] const queue::HistoryStep* last_step(std::string_view what) const {
    const auto found = std::find_if(
        history_.rbegin(), history_.rend(), [this, what](const queue::HistoryStep& step) {
          return step.delivery.number == delivery_.number && step.what == what;
        });
    return found == history_.rend() ? nullptr : &*found;
  }

  // "by uid 0 (root): looks like spam", as the history has it.
  [[nodiscard]] std::string by_whom(std::string_view what) const {
    const queue::HistoryStep* step = last_step(what);
    return step != nullptr && step->reply.starts_with("by ") ? step->reply : "by a person";
  }

  [[nodiscard]] std::string destination() const { return plain_name(delivery_.destination); }

  [[nodiscard]] std::string site() const {
    return plain_name(where_.site.empty() ? delivery_.destination : where_.site);
  }

  // When it was last tried; before that, when it was accepted.
  [[nodiscard]] base::WallTime last_tried() const {
    return delivery_.last.at == base::WallTime{} ? message_.accepted : delivery_.last.at;
  }

  // It could have gone from then on, but for what keeps it.
  [[nodiscard]] base::WallTime due_since() const {
    return std::max(last_tried(), std::min(delivery_.due, now_));
  }

  // Not before this, whatever else keeps it.
  [[nodiscard]] base::WallTime next_try() const {
    return std::max({delivery_.due, where_.asked_again, where_.site_paused_until});
  }

  // Whether there is somebody to tell that it has failed, and they want to know.
  [[nodiscard]] bool has_returns() const {
    return !message_.sender.empty() && delivery_.notify.wants_failure();
  }

  // Its site has the limit that the configuration gives to routes, and to what persons name.
  [[nodiscard]] bool has_named_hosts() const {
    return delivery_.destination.starts_with("route:") || delivery_.destination.starts_with("to:");
  }

  [[nodiscard]] std::string_view connections_key() const {
    return has_named_hosts() ? "[queue] route_connections" : "[queue] site_connections";
  }

  void held();
  bool is_held_by_pause();
  void quarantined();
  void deleted();
  void waits_for_report();
  void waiting();
  bool is_stopped_as_a_whole();
  void no_daemon();
  void paused();
  void being_sent();
  void in_memory();
  [[nodiscard]] bool is_reply_of_last_attempt(std::string_view reason) const;
  void site_paused();
  void site_busy();
  void rate_holds(const std::string& before);
  void budget_used_up();
  // By a traffic rule.
  [[nodiscard]] bool is_tenant_paused();
  [[nodiscard]] bool is_sender_at_limit();
  void account_busy(const std::string& before);
  void on_disk();
  void behind_others();
  void attempt_failed();
  void advise_on(queue::Reason reason);
  void advise_on_tls();
  void add_estimate();
  void add_last_attempt();
  void add_detour();
  void add_route_setting();
  void add_tls_setting();
  void add_connections_setting();
  void add_retry();
  void add_end();

  const queue::Message& message_;
  const queue::Delivery& delivery_;
  const std::vector<queue::HistoryStep>& history_;
  const Whereabouts& where_;
  const std::optional<WhySettings>& settings_;
  const base::WallTime now_;
  const std::string id_;
  bool tells_last_attempt_ = false;
  Why why_;
};

}  // namespace rockdove::admin
