#include "mta/daemon/crashes.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "mta/inbound/local_user.h"
#include "queue/change.h"

namespace rockdove::daemon {
namespace {

constexpr std::string_view kClientNotes = "crash-client";
constexpr base::Duration kClientHeldFor = std::chrono::hours(24);

// "COUNT MILLISECONDS": how often, and when last.
struct ClientNote {
  std::uint32_t crashes = 0;
  base::WallTime last;
};

ClientNote parse_note(std::string_view text) {
  ClientNote note;
  std::uint64_t milliseconds = 0;
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos) return note;
  std::from_chars(text.data(), text.data() + blank, note.crashes);
  std::from_chars(text.data() + blank + 1, text.data() + text.size(), milliseconds);
  note.last = base::from_unix_milliseconds(milliseconds);
  return note;
}

std::string format_note(const ClientNote& note) {
  return std::to_string(note.crashes) + " " + std::to_string(base::to_unix_milliseconds(note.last));
}

struct Counting {
  queue::Store& store;
  base::Loop& loop;
  base::Log& log;
  base::UniqueFunction<void(std::unordered_set<base::IpAddress>)> done;
  bool keeps_history = true;
  std::unordered_set<base::IpAddress> crashed_clients;
  std::unordered_set<base::IpAddress> held_clients;
  std::size_t open = 1;  // steps under way
};

using CountingPointer = std::shared_ptr<Counting>;

void step_done(const CountingPointer& counting) {
  if (--counting->open == 0) counting->done(std::move(counting->held_clients));
}

void commit(const CountingPointer& counting, queue::Change change) {
  ++counting->open;
  counting->store.commit(counting->loop, std::move(change),
                         [counting](base::Result<void>) { step_done(counting); });
}

void count_delivery(const CountingPointer& counting, base::DeliveryId id,
                    const queue::MessageView& view) {
  const auto row =
      std::find_if(view.deliveries.begin(), view.deliveries.end(),
                   [id](const queue::Delivery& delivery) { return delivery.number == id.number; });
  if (view.message == nullptr || row == view.deliveries.end() ||
      row->state != queue::DeliveryState::Waiting)
    return;
  queue::Delivery after = *row;
  ++after.crashes;
  std::optional<queue::Attempt> step;
  if (after.crashes >= kCrashesMax) {
    after.state = queue::DeliveryState::Held;
    after.hold_reason = "crash";
    step = queue::Attempt{counting->loop.now().wall,
                          {},
                          "",
                          "by rockdove: the process failed three times while it worked on this"};
    step->deed = queue::Deed::Held;
    step->is_kept = counting->keeps_history;
  }
  counting->log
      .line(base::Level::Error,
            after.crashes >= kCrashesMax
                ? "the process failed three times while it worked on this delivery; it is on "
                  "hold until `rockdove queue retry`"
                : "the process failed while it worked on this delivery")
      .id(id)
      .path("to", row->recipient)
      .field("crashes", after.crashes);
  commit(counting, queue::moved(*view.message, *row, after, step));
}

void count_clients(const CountingPointer& counting, const std::vector<queue::NotedRow>& notes) {
  const base::WallTime now = counting->loop.now().wall;
  for (const queue::NotedRow& row : notes) {
    const std::optional<base::IpAddress> client = base::parse_ip_address(row.name);
    ClientNote note = parse_note(row.value);
    if (!client || now - note.last > kClientHeldFor) {
      commit(counting, queue::noted(kClientNotes, row.name, ""));
      continue;
    }
    if (counting->crashed_clients.erase(*client) > 0) {
      ++note.crashes;
      note.last = now;
      commit(counting, queue::noted(kClientNotes, row.name, format_note(note)));
    }
    if (note.crashes < kCrashesMax) continue;
    counting->log
        .line(base::Level::Error,
              "the process failed three times in this client's sessions; it is answered 421 for a "
              "day")
        .field("client", inbound::describe_client(*client));
    counting->held_clients.insert(*client);
  }
  for (const base::IpAddress& client : counting->crashed_clients) {
    commit(counting,
           queue::noted(kClientNotes, base::format_ip_address(client), format_note({1, now})));
  }
}

}  // namespace

void count_crashes(queue::Store& store, base::Loop& loop, base::Log& log,
                   const std::vector<WorkedOn>& found, const queue::HistorySettings& history,
                   base::UniqueFunction<void(std::unordered_set<base::IpAddress>)> done) {
  auto counting = std::shared_ptr<Counting>(
      new Counting{store, loop, log, std::move(done), history.is_kept, {}, {}});
  for (const WorkedOn& worked : found) {
    if (!worked.crashed) continue;
    if (const auto* client = std::get_if<base::IpAddress>(&worked.what)) {
      counting->crashed_clients.insert(*client);
      continue;
    }
    const base::DeliveryId id = std::get<base::DeliveryId>(worked.what);
    ++counting->open;
    store.view(loop, id.message, [counting, id](base::Result<queue::MessageView> view) {
      if (view) count_delivery(counting, id, *view);
      step_done(counting);
    });
  }
  ++counting->open;
  store.read_notes(loop, std::string(kClientNotes),
                   [counting](base::Result<std::vector<queue::NotedRow>> notes) {
                     if (notes) count_clients(counting, *notes);
                     step_done(counting);
                   });
  step_done(counting);
}

}  // namespace rockdove::daemon
