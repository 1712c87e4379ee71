#include "mta/admin/why.h"

#include <algorithm>

#include "mta/admin/why_explanation.h"
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

}  // namespace

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

// Mail of a user or campaign that is paused goes on hold when its turn comes, and is released when
// that pause ends.
bool Explanation::is_held_by_pause() {
  if (!queue::is_pause_hold(delivery_.hold_reason)) return false;
  const std::string whose = delivery_.hold_reason.substr(queue::kPausedHold.size());
  say("paused", "It is on hold because the mail of " + whose +
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
  if (is_tenant_paused() || is_sender_at_limit()) return;
  switch (where_.place) {
    case Place::NoDaemon:
    case Place::Silent:
    case Place::OnDisk:
      on_disk();
      return add_estimate();
    case Place::Resolving:
      say("resolving", "The DNS is being asked which hosts take mail for " + destination() + ".");
      why_.estimate = "when the answer is there";
      return advise("ask the same by hand", "rockdove route " + shell_quoted(delivery_.recipient));
    case Place::InMemory:
      in_memory();
      return add_estimate();
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

void Explanation::on_disk() {
  const bool is_used_up = where_.used_up_until > now_ && where_.place == Place::OnDisk;
  if (is_used_up && delivery_.due <= now_ && where_.site_paused_until <= now_)
    return budget_used_up();
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
  if (delivery_.last.rule.empty()) {
    add_retry();
  } else {
    add("A traffic rule knows this reply, and decides how long it waits.");
    setting("traffic rule", delivery_.last.rule);
    advise("see what that rule did", "rockdove route " + shell_quoted(delivery_.recipient));
  }
  advise_on(reason);
}

void Explanation::advise_on(Reason reason) {
  if (reason == Reason::Greylisted) advise("leave it: it goes by itself", "");
  if (reason == Reason::Login) {
    advise("correct user and password of the route, then", "systemctl reload rockdove");
  }
  if (reason == Reason::Tls) advise_on_tls();
  if (reason == Reason::Source) {
    advise("see which addresses this machine has", "ip address");
    advise("put a missing one on an interface, or take its [[source]] out, then",
           "systemctl reload rockdove");
  }
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

Why explain_why(const queue::Message& message, const queue::Delivery& delivery,
                const std::vector<queue::HistoryStep>& history, const Whereabouts& where,
                const std::optional<WhySettings>& settings, WallTime now) {
  return Explanation(message, delivery, history, where, settings, now).make();
}

}  // namespace rockdove::admin
