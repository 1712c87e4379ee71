#include "mta/admin/why.h"

#include <algorithm>

#include "mta/admin/why_words.h"
#include "mta/base/text.h"
#include "queue/quarantine.h"
#include "queue/reason.h"
#include "queue/steering.h"

namespace rockdove::admin {

using base::WallTime;
using queue::Reason;

namespace {

using Place = Whereabouts::Place;

constexpr std::size_t kPausesTold = 3;

// Makes one explanation; what it is about stays the same meanwhile.
class Explanation {
 public:
  Explanation(const queue::Message& message, const queue::Delivery& delivery,
              const std::vector<queue::HistoryStep>& history, const Whereabouts& where,
              const std::optional<WhySettings>& settings, WallTime now)
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
  [[nodiscard]] WallTime last_tried() const {
    return delivery_.last.at == WallTime{} ? message_.accepted : delivery_.last.at;
  }

  // It could have gone from then on, but for what keeps it.
  [[nodiscard]] WallTime due_since() const {
    return std::max(last_tried(), std::min(delivery_.due, now_));
  }

  // Not before this, whatever else keeps it.
  [[nodiscard]] WallTime next_try() const {
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
  void site_paused();
  void site_busy();
  void on_disk();
  void behind_others();
  void attempt_failed();
  void advise_on(queue::Reason reason);
  void advise_on_tls();
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
  const WallTime now_;
  const std::string id_;
  bool tells_last_attempt_ = false;
  Why why_;
};

void Explanation::held() {
  why_.since = delivery_.due;
  why_.estimate = "when it is released";
  if (delivery_.hold_reason == "crash") {
    say("crash", "It is on hold because rockdove itself failed " +
                     count_of(delivery_.crashes, "time") +
                     " while it worked on this delivery. The reports of the crashes are in the "
                     "journal; please send them to the makers.");
    advise_queue("try it once more", "release");
    return advise_queue("look at the message", "show");
  }
  if (is_held_by_pause()) return;
  if (queue::is_quarantined(delivery_)) return quarantined();
  std::string by = by_whom("held");
  if (by == "by a person" && !delivery_.hold_reason.empty() &&
      delivery_.hold_reason != queue::kOperatorHold) {
    by += ": " + delivery_.hold_reason;
  }
  say("held", "It was put on hold " + by + ". Nothing happens to it until somebody releases it.");
  advise_queue("let it go", "release");
  advise_queue("take it out, without a report to its sender", "delete");
}

// Mail of a user whose mail is paused goes on hold when its turn comes, and is released when that
// pause ends.
bool Explanation::is_held_by_pause() {
  if (!delivery_.hold_reason.starts_with(queue::kPausedHold)) return false;
  const std::string user = delivery_.hold_reason.substr(queue::kPausedHold.size());
  say("paused", "It is on hold because the mail of user " + user +
                    " is paused, and is released when that pause ends.");
  why_.estimate = "when the pause has ended";
  for (const queue::Pause& pause : where_.pauses) {
    if (queue::hold_reason_of(pause) != delivery_.hold_reason) continue;
    say("paused",
        describe_pause(pause) + ". It went on hold for that, and is released when the pause ends.");
    why_.next = pause.until;
    advise("end the pause", resume_command(pause));
  }
  advise_queue("let this one go", "release");
  return true;
}

// Until when is what `ends` says.
void Explanation::quarantined() {
  say("quarantine", "It is in quarantine: " + base::printable(delivery_.hold_detail) +
                        ". A person is to decide about it; if nobody does, it is discarded, and "
                        "its sender, who is most likely forged, is not told.");
  why_.ends = delivery_.expires;
  why_.ends_how = "then it is discarded";
  advise_queue("look at it", "show");
  advise_queue("let it go", "release");
  advise_queue("take it out", "delete");
}

void Explanation::deleted() {
  const queue::HistoryStep* step = last_step("deleted");
  if (step != nullptr) why_.since = step->at;
  say("deleted", "It was deleted " + by_whom("deleted") + ", and is not sent any more.");
  why_.estimate = "never, unless it is brought back";
  why_.ends = delivery_.due;
  why_.ends_how = "then it is gone for good";
  advise_queue("bring it back", "undelete");
}

void Explanation::waits_for_report() {
  const bool has_failed = delivery_.ending == queue::Ending::Failed;
  say("report", "It " + std::string(has_failed ? "has failed for good" : "has come to its end") +
                    " (" + delivery_.final_status +
                    ") and waits for the report to its sender, which it shares with the other "
                    "recipients of its message.");
  why_.since = last_tried();
  why_.estimate = "when the others have come to their ends, too";
  if (where_.place == Place::NoDaemon) add("No rockdove runs, so nothing goes on.");
}

void Explanation::waiting() {
  if (where_.place == Place::BeingSent) return being_sent();
  if (is_stopped_as_a_whole()) return;
  why_.since = due_since();
  switch (where_.place) {
    case Place::NoDaemon:
    case Place::Silent:
    case Place::OnDisk:
      return on_disk();
    case Place::Resolving:
      say("resolving", "The DNS is being asked which hosts take mail for " + destination() + ".");
      why_.estimate = "when the answer is there";
      return advise("ask the same by hand", "rockdove route " + shell_quoted(delivery_.recipient));
    case Place::InMemory:
      return in_memory();
    case Place::BeingSent:
    case Place::OnItsWay:
      break;
  }
  say("due", "Its turn comes in a moment, or its last result is just being written.");
  why_.estimate = "now";
}

// What keeps everything from going, or all that this is one of.
bool Explanation::is_stopped_as_a_whole() {
  if (where_.place == Place::NoDaemon) {
    no_daemon();
    return true;
  }
  if (where_.is_stopping) {
    say("stopping",
        "Rockdove is stopping: what is being sent is finished, and nothing new starts.");
    why_.estimate = "when rockdove runs again";
    return true;
  }
  if (where_.readiness == queue::Readiness::Failed) {
    say("store",
        "The queue's disk does not take what is written to it. Nothing is sent, because the result "
        "could not be kept. Rockdove opens the queue again as soon as the disk allows.");
    why_.estimate = "when the disk takes writes again";
    advise("see what is wrong with it", "journalctl -u rockdove -p warning");
    return true;
  }
  if (where_.pauses.empty()) return false;
  paused();
  return true;
}

void Explanation::no_daemon() {
  say("no-daemon", "No rockdove runs, so nothing is sent.");
  why_.estimate =
      delivery_.due > now_ ? "at its time, once rockdove runs again" : "when rockdove runs again";
  advise("start it", "systemctl start rockdove");
}

// All of them must end; it goes when the last one has.
void Explanation::paused() {
  const std::vector<queue::Pause>& pauses = where_.pauses;
  why_.cause = "paused";
  why_.since = pauses.front().since;
  why_.next = next_try();
  for (std::size_t i = 0; i < pauses.size() && i < kPausesTold; ++i) {
    add(describe_pause(pauses[i]) + ".");
    advise(pauses.size() == 1 ? "let it go on" : "end this pause", resume_command(pauses[i]));
  }
  if (pauses.size() > kPausesTold) {
    add(count_of(pauses.size() - kPausesTold, "other pause") + " (rockdove pause) " +
        (pauses.size() == kPausesTold + 1 ? "is" : "are") + " about it, too.");
  }
  for (const queue::Pause& pause : pauses) {
    why_.since = std::min(*why_.since, pause.since);
    if (!pause.until || !why_.next) {
      why_.next.reset();
    } else {
      why_.next = std::max(*why_.next, *pause.until);
    }
  }
  if (why_.next) return;
  why_.estimate =
      pauses.size() == 1 ? "when somebody ends the pause" : "when somebody ends the pauses";
}

void Explanation::being_sent() {
  const std::string whom = where_.host.empty() ? "its next hop" : where_.host;
  why_.since = where_.since;
  why_.host = where_.host;
  why_.reply.clear();  // that of an attempt before, and perhaps of another host
  if (where_.past_final_dot) {
    say("being-sent", "It is being sent right now: " + whom +
                          " has all of it and has not said yet whether it takes it.");
  } else {
    say("being-sent", "It is being sent right now, to " + whom + " (stage: " + where_.stage + ").");
  }
  why_.estimate = "when " + whom + " has answered";
}

void Explanation::site_paused() {
  std::string text = "All mail to " + site() + " waits, because an attempt failed there";
  if (!where_.site_pause_reason.empty()) {
    text += ": \"" + base::printable(where_.site_pause_reason, queue::kReplyOctetsKept) + '"';
  }
  say("site-paused",
      text + ". After this wait one delivery is tried first; the others follow if it goes.");
  why_.next = next_try();
  if (delivery_.attempts == 0) why_.reply = where_.site_pause_reason;
  if (delivery_.last.reply == where_.site_pause_reason) tells_last_attempt_ = true;
  add_route_setting();
  add_retry();
  advise_queue("end the wait and try now", "retry");
  advise("see hosts and limits", "rockdove route " + shell_quoted(delivery_.recipient));
  advise("send it another way", "rockdove queue reroute " + id_ + " --to smtp://HOST:25");
}

void Explanation::site_busy() {
  why_.cause = "site-busy";
  if (!where_.is_proven) {
    add("Until " + site() +
        " has taken a message it gets a single connection, and that one is at work.");
  } else if (where_.window == 1) {
    add("The one connection that " + site() + " gets at the moment is at work.");
  } else {
    add("All " + count_of(where_.window, "connection") + " that " + site() +
        " gets at the moment are at work.");
  }
  why_.estimate = "as soon as one of them is free";
  if (where_.window == 1) why_.estimate = "as soon as it is free";
  add_connections_setting();
  add_route_setting();
  advise("see what is slow", "rockdove top");
  advise("see hosts and limits", "rockdove route " + shell_quoted(delivery_.recipient));
}

void Explanation::in_memory() {
  const std::string before =
      where_.before == 0 ? "It is the next one of " + destination() + "."
                         : count_of(where_.before, "other") + " of " + destination() +
                               " in memory " + (where_.before == 1 ? "goes" : "go") + " before it.";
  switch (where_.gate) {
    case Whereabouts::Gate::Paused:
      return site_paused();
    case Whereabouts::Gate::Budget:
      say("no-connection-left", "All connections that rockdove may have open are at work.");
      if (!where_.is_proven) {
        add("Sites that have taken no mail within the last ten minutes share half of them, and " +
            site() + " is one of those.");
      }
      add(before);
      why_.estimate = "as soon as a connection is free";
      if (settings_) {
        setting("[limits] connections_out", std::to_string(settings_->connections_out));
      }
      advise("see how many are open", "rockdove top");
      return advise_more("[limits] connections_out");
    case Whereabouts::Gate::Window:
      site_busy();
      return add(before);
    case Whereabouts::Gate::Backoff:
      say("site-busy", "A further connection to " + site() +
                           " failed a moment ago, while others there are at work.");
      add(before);
      why_.estimate = "within half a minute";
      return;
    case Whereabouts::Gate::Open:
      break;
  }
  say("due", "Its turn comes in a moment.");
  add(before);
  why_.estimate = "now";
}

void Explanation::on_disk() {
  const bool is_due = delivery_.due <= now_ && where_.asked_again <= now_;
  if (is_due && where_.place == Place::OnDisk) {
    if (where_.site_paused_until > now_) return site_paused();
    if (where_.is_memory_short) {
      say("memory", "The memory for mail is full, so nothing more is read from the queue for now.");
      why_.estimate = "when other mail has gone";
      if (settings_) {
        setting("[limits] memory", std::to_string(settings_->queue.memory / 1'000'000) + "M");
      }
      return advise_more("[limits] memory");
    }
    // As queue::Directory::next_load() has it.
    if (where_.out > where_.room / 2) return behind_others();
    say("due", "It is due, and its turn comes in a moment.");
    why_.estimate = "now";
    return;
  }
  attempt_failed();
  why_.since = last_tried();
  why_.next = next_try();
  if (where_.place != Place::Silent) return;
  why_.cause = "silent";
  add("A part of rockdove did not answer within a second, so only what is stored can be said.");
}

// Its queue has enough in memory.
void Explanation::behind_others() {
  say("site-busy",
      count_of(where_.out, "other") + " of " + destination() + (where_.out == 1 ? " is" : " are") +
          " in memory or being sent and go before it, as do those on disk that have "
          "been due for longer; more are read when about half of the first have gone.");
  why_.estimate = "when those before it have gone";
  if (where_.connections >= where_.window && where_.window > 0) {
    site_busy();
    why_.estimate = "when those before it have gone";
  }
}

// Why it was deferred, and what can be done about that.
void Explanation::attempt_failed() {
  const Reason reason = queue::reason_of(delivery_.last);
  say(std::string(queue::reason_name(reason)), attempt_text(delivery_));
  tells_last_attempt_ = true;
  add_route_setting();
  if (reason == Reason::Tls) add_tls_setting();
  if (reason == Reason::RateLimited && where_.connections_max > 0) {
    setting(std::string(connections_key()), std::to_string(where_.connections_max));
  }
  add_retry();
  advise_on(reason);
}

void Explanation::advise_on(Reason reason) {
  if (reason == Reason::Greylisted) advise("leave it: it goes by itself", "");
  if (reason == Reason::Login) {
    advise("correct user and password of the route, then", "systemctl reload rockdove");
  }
  if (reason == Reason::Tls) advise_on_tls();
  advise_queue("try it now", "retry");
  const bool is_of_hosts = reason == Reason::Unreachable || reason == Reason::Dns ||
                           reason == Reason::Tls || reason == Reason::Silent;
  if (is_of_hosts) {
    advise("see hosts, TLS and limits", "rockdove route " + shell_quoted(delivery_.recipient));
    advise("send it another way", "rockdove queue reroute " + id_ + " --to smtp://HOST:25");
  }
  if (reason == Reason::RateLimited) {
    advise("send nothing there for a while",
           "rockdove pause --destination " + shell_quoted(delivery_.destination) + " --for 1h");
    advise("send there by fewer connections: lower " + std::string(connections_key()) + ", then",
           "systemctl reload rockdove");
  }
  if (reason == Reason::Unreadable) {
    advise("see what is wrong with it", "journalctl -u rockdove -p warning");
  }
  advise_queue(has_returns() ? "give it up and tell its sender" : "give it up", "bounce");
}

// Only where a setting wants TLS that could want less; where there is a password none should.
void Explanation::advise_on_tls() {
  const auto found =
      std::find_if(why_.settings.begin(), why_.settings.end(), [](const auto& setting) {
        return setting.first == "tls" || setting.first == "[tls] outbound";
      });
  if (found == why_.settings.end()) return;
  const std::string key = found->first == "tls" ? "tls of the route" : found->first;
  advise("if less will do, change " + key + ", then", "systemctl reload rockdove");
}

// What was said before, where something else keeps it now.
void Explanation::add_last_attempt() {
  if (tells_last_attempt_ || queue::reason_of(delivery_.last) == Reason::NotTried) return;
  const bool is_another =
      where_.place == Place::BeingSent && delivery_.state == queue::DeliveryState::Waiting;
  add((is_another ? "The attempt before: " : "The last attempt: ") + last_words(delivery_.last) +
      ".");
}

// A person has sent it another way than the routes say.
void Explanation::add_detour() {
  if (delivery_.route_to.empty()) return;
  const queue::HistoryStep* step = last_step("rerouted");
  std::string who = "a person";
  if (step != nullptr && step->reply.starts_with("by ")) {
    who = step->reply.substr(3, step->reply.find(": to ") - 3);
  }
  add("It goes to " + base::printable(delivery_.route_to) + " instead of by the routes, because " +
      who + " has rerouted it.");
  advise("let it go by the routes again", "rockdove queue reroute " + id_ + " --to routes");
}

void Explanation::add_route_setting() {
  if (delivery_.destination.starts_with("route:")) {
    setting("[[route]] name", delivery_.destination.substr(6));
  }
}

// Only where it is this limit that keeps it, and not what the site has earned so far.
void Explanation::add_connections_setting() {
  if (where_.connections_max == 0 || where_.window < where_.connections_max) return;
  setting(std::string(connections_key()), std::to_string(where_.connections_max));
  advise_more(connections_key());
}

// The reply ends in which key wants TLS: "… requires TLS (tls = "verify")".
void Explanation::add_tls_setting() {
  const std::string_view reply = delivery_.last.reply;
  const std::size_t open = reply.rfind('(');
  const std::size_t equals = reply.rfind(" = \"");
  if (!reply.ends_with("\")") || open == std::string_view::npos ||
      equals == std::string_view::npos || equals < open) {
    return;
  }
  setting(std::string(reply.substr(open + 1, equals - open - 1)),
          std::string(reply.substr(equals + 4, reply.size() - equals - 6)));
}

void Explanation::add_retry() {
  if (!settings_) return;
  std::string waits;
  for (const base::Duration wait : settings_->queue.retry) {
    waits += (waits.empty() ? "" : ", ") + base::format_duration(wait);
  }
  setting("[queue] retry", std::move(waits));
}

// When the next failure is the last one (queue/retry.h).
void Explanation::add_end() {
  const std::string what = has_returns()             ? "returns it to its sender"
                           : message_.sender.empty() ? "ends it, since its sender is empty"
                                                     : "ends it, since its sender wants no report";
  if (delivery_.is_expired) {
    return add("A person has ended its lifetime: the next failure " + what + ".");
  }
  if (!settings_) return;
  why_.ends = queue::alive_since(message_, delivery_) + settings_->queue.lifetime;
  why_.ends_how = "a failure after that " + what;
  setting("[queue] lifetime", base::format_duration(settings_->queue.lifetime));
  if (why_.next.value_or(now_) >= *why_.ends && where_.place != Place::BeingSent) {
    add("Its lifetime is over: the next attempt is the last.");
  }
}

}  // namespace

Why explain_why(const queue::Message& message, const queue::Delivery& delivery,
                const std::vector<queue::HistoryStep>& history, const Whereabouts& where,
                const std::optional<WhySettings>& settings, WallTime now) {
  return Explanation(message, delivery, history, where, settings, now).make();
}

}  // namespace rockdove::admin
