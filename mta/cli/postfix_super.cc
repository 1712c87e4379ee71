#include "mta/cli/postfix_super.h"

#include <algorithm>
#include <istream>
#include <ostream>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mta/admin/control_server.h"
#include "mta/base/text.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Result;

namespace {

constexpr std::string_view kUsageText =
    "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id "
    "(expire and/or un-hold)] [-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary "
    "files)] [-r queue_id (requeue)] [-s (structure fix)] [-S (redundant structure fix)] [-v "
    "(verbose)] [queue...]";

constexpr std::string_view kHelp =
    R"(postsuper, on Rockdove's queue. ID is a message's, "-" (from standard input, one a line) or ALL:
  -d ID   delete; `rockdove queue undelete` brings it back within 24 hours
  -h ID   hold               -H ID   release from hold
  -r ID   requeue: release, and try again now
  -e ID   try once more, now, and if that fails return to the sender; -f ID   also what is on hold
  -c DIR  take DIR/rockdove.toml, if there is one; -p, -s, -S and -v are accepted
  QUEUE   hold, incoming, active or deferred: only what is in one of these
)";

// Rockdove's queue as Postfix would have divided it; incoming and active are one.
struct Queues {
  bool hold = false;
  bool active = false;
  bool deferred = false;

  [[nodiscard]] bool has(std::string_view name) const {
    return (name == "hold" && hold) || (name == "active" && active) ||
           (name == "deferred" && deferred);
  }
};

struct SuperAct {
  char letter;
  admin::Act act;
  std::string_view total;  // "Deleted"
  std::string_view each;   // "removed"
  Queues queues;           // where it looks, when no queue is named
};

constexpr Queues kEverywhere{true, true, true};

constexpr SuperAct kActs[] = {
    {'d', admin::Act::Delete, "Deleted", "removed", kEverywhere},
    {'e', admin::Act::Expire, "Force-expired", "expired", {false, true, true}},
    {'f', admin::Act::Expire, "Force-expired", "expired", kEverywhere},
    {'h', admin::Act::Hold, "Placed on hold", "placed on hold", {false, true, true}},
    {'H', admin::Act::Release, "Released from hold", "released from hold", {true, false, false}},
    {'r', admin::Act::Retry, "Requeued", "requeued", kEverywhere},
};

const SuperAct* find_act(char letter) {
  const auto* found = std::find_if(std::begin(kActs), std::end(kActs),
                                   [letter](const SuperAct& one) { return one.letter == letter; });
  return found == std::end(kActs) ? nullptr : found;
}

bool is_everywhere(const Queues& queues) {
  return queues.hold && queues.active && queues.deferred;
}

bool is_queue_id(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
}

class Superintendent {
 public:
  Superintendent(QueueSource& source, Queues named, const PostfixWorld& world)
      : source_(source), named_(named), world_(world) {}

  // All that was asked of one act: its ids in their order, and ALL.
  Result<void> run(const SuperAct& act, const std::vector<std::string>& given, bool is_all) {
    done_ = 0;
    const Queues queues{act.queues.hold && named_.hold, act.queues.active && named_.active,
                        act.queues.deferred && named_.deferred};
    // A hold leaves what is held as it is, and a release what is not: only where that does not help
    // each id is looked up.
    const bool must_look = !is_everywhere(named_) || act.act == admin::Act::Expire;
    const std::vector<std::string> ids = find(must_look ? queues : kEverywhere, given);
    if (const Result<void> sent = send(act, ids, Tell::Each); !sent) return sent;
    if (is_all) {
      const Result<std::vector<std::string>> all = find_all(queues);
      if (!all) return all.error();
      if (const Result<void> sent = send(act, *all, Tell::Total); !sent) return sent;
    }
    world_.error << fmt::format("postsuper: {}: {} message{}\n", act.total, done_,
                                done_ == 1 ? "" : "s");
    return {};
  }

 private:
  enum class Tell : std::uint8_t { Each, Total };

  // What the daemon said about a batch of messages.
  struct Answered {
    std::uint64_t deliveries_done = 0;
    std::unordered_set<std::string> done;  // messages of which it named a delivery as done
    std::unordered_set<std::string> not_done;
  };

  // Those of the given ids that are meant.
  std::vector<std::string> find(const Queues& queues, const std::vector<std::string>& given) {
    std::vector<std::string> ids;
    std::unordered_set<std::string> seen;
    for (const std::string& id : given) {
      if (!is_queue_id(id)) {
        world_.error << "postsuper: warning: invalid mail queue id: " << harmless(id) << '\n';
      } else if (base::parse_message_id(id) && is_in(id, queues) && seen.insert(id).second) {
        ids.push_back(id);
      }
    }
    return ids;
  }

  // Messages are counted and not deliveries, so they are listed first.
  Result<std::vector<std::string>> find_all(const Queues& queues) {
    std::vector<std::string> ids;
    const bool waits = queues.active || queues.deferred;
    if (!queues.hold && !waits) return ids;
    admin::Parameters filter;
    if (!waits) filter.emplace_back("state", "held");
    if (!queues.hold) filter.emplace_back("state", "waiting");
    const Result<void> listed = source_.list(filter, [&](std::string_view line) {
      const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!json.is_object()) return;
      // Messages that stand in two of Postfix's queues are in the first of these.
      const bool is_meant = !waits || queues.has(json.value("queue_name", ""));
      if (is_meant) ids.push_back(json.value("queue_id", ""));
    });
    if (!listed) return listed.error();
    return ids;
  }

  // Looked up only where the queues leave something out.
  bool is_in(const std::string& id, const Queues& queues) {
    if (is_everywhere(queues)) return true;
    bool found = false;
    const Result<void> shown = source_.show(id, [&found, &queues](std::string_view line) {
      const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!json.is_object() || !json.contains("message") || !json["message"].is_object()) return;
      found = queues.has(json["message"].value("queue_name", ""));
    });
    return shown && found;
  }

  Result<void> send(const SuperAct& act, const std::vector<std::string>& ids, Tell tell) {
    for (std::size_t i = 0; i < ids.size(); i += admin::kIdsMax) {
      const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(i);
      const auto end =
          ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), i + admin::kIdsMax));
      const std::vector<std::string> batch(begin, end);
      Answered answered;
      const Result<void> sent = source_.act(
          {act.act}, batch, [this, &answered](std::string_view line) { take(line, answered); });
      if (!sent) return sent;
      for (const std::string& id : batch) {
        if (!is_done(id, answered)) continue;
        ++done_;
        if (tell == Tell::Each) world_.error << "postsuper: " << id << ": " << act.each << '\n';
      }
    }
    return {};
  }

  // The daemon names each delivery that was done, or only those that were not.
  static bool is_done(const std::string& id, const Answered& answered) {
    if (!answered.done.empty()) return answered.done.contains(id);
    return answered.deliveries_done > 0 && !answered.not_done.contains(id);
  }

  void take(std::string_view line, Answered& answered) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return;
    const std::string id = json.value("id", "");
    const std::string message = id.substr(0, id.find('-'));
    const std::string outcome = json.value("outcome", "");
    if (outcome.empty()) {
      answered.deliveries_done += json.value("done", std::uint64_t{0});
    } else if (outcome == "done") {
      answered.done.insert(message);
    } else {
      answered.not_done.insert(message);
    }
    if (outcome != "being-sent" && outcome != "failed") return;
    const std::string why = outcome == "failed" ? harmless(json.value("error", "failed"))
                                                : std::string("is being sent right now");
    world_.error << "postsuper: warning: " << harmless(id) << ": " << why << '\n';
  }

  QueueSource& source_;
  const Queues named_;
  const PostfixWorld& world_;
  std::uint64_t done_ = 0;  // messages
};

int fatal(const PostfixWorld& world, std::string_view text) {
  world.error << "postsuper: fatal: " << text << '\n';
  return 1;
}

// Nullopt: one of the names is no queue of Postfix's.
std::optional<Queues> parse_queues(const std::vector<std::string>& names, std::string& unknown) {
  if (names.empty()) return kEverywhere;
  Queues queues;
  for (const std::string& name : names) {
    queues.hold = queues.hold || name == "hold";
    queues.active = queues.active || name == "active" || name == "incoming";
    queues.deferred = queues.deferred || name == "deferred";
    // Postfix has mail or logs in these, too; Rockdove has none there.
    constexpr std::string_view kOthers[] = {"maildrop", "corrupt", "bounce", "defer",
                                            "trace",    "flush",   "saved"};
    const bool is_known =
        name == "hold" || name == "active" || name == "incoming" || name == "deferred" ||
        std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
    if (is_known) continue;
    unknown = name;
    return std::nullopt;
  }
  return queues;
}

// "4H0Q…*" as mailq shows it; "" for an empty line.
std::vector<std::string> read_ids(std::istream& in) {
  std::vector<std::string> ids;
  for (std::string line; std::getline(in, line);) {
    std::string_view id = base::trimmed(line);
    while (!id.empty() && (id.back() == '*' || id.back() == '!' || id.back() == '#'))
      id.remove_suffix(1);
    if (!id.empty()) ids.emplace_back(id);
  }
  return ids;
}

}  // namespace

int run_postsuper(const std::vector<std::string>& arguments, const PostfixWorld& world) {
  if (!arguments.empty() && arguments.front() == "--help") {
    world.out << kHelp;
    return 0;
  }
  const GivenOptions given = read_options(arguments, "c:d:e:f:h:H:pr:sSv");
  if (!given.mistake.empty()) {
    world.error << "postsuper: " << given.mistake << '\n';
    return fatal(world, kUsageText);
  }
  std::string unknown;
  const std::optional<Queues> queues = parse_queues(given.rest, unknown);
  if (!queues) return fatal(world, "invalid directory name: " + harmless(unknown));
  const bool wants_anything =
      std::any_of(given.options.begin(), given.options.end(),
                  [](const GivenOption& one) { return find_act(one.letter) != nullptr; });
  // -p, -s and -S repair a folder of files; there is none here.
  if (!wants_anything) return 0;
  const Result<std::unique_ptr<QueueSource>> source = world.open_queue(given.value_of('c'));
  if (!source) return fatal(world, source.error().text());
  Superintendent superintendent(**source, *queues, world);
  // In Postfix's order, each act once.
  for (const SuperAct& act : kActs) {
    if (!given.has(act.letter)) continue;
    std::vector<std::string> ids;
    bool is_all = false;
    for (const GivenOption& one : given.options) {
      if (one.letter != act.letter) continue;
      is_all = is_all || one.value == "ALL";
      if (one.value == "-") {
        const std::vector<std::string> read = read_ids(world.in);
        ids.insert(ids.end(), read.begin(), read.end());
      } else if (one.value != "ALL") {
        ids.push_back(one.value);
      }
    }
    if (const Result<void> done = superintendent.run(act, ids, is_all); !done)
      return fatal(world, done.error().text());
  }
  return 0;
}

}  // namespace rockdove::cli
