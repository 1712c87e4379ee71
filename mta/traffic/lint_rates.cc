#include "mta/traffic/lint_rates.h"

#include <algorithm>
#include <utility>

namespace rockdove::traffic {
namespace {

class RateLinter {
 public:
  void look_at(const Knobs& knobs);

  std::vector<ContradictingRates> take() { return std::move(found_); }

 private:
  void look_at_windows(std::string_view name, const Knob<std::vector<Rate>>& knob);
  void look_at_connections(const Knobs& knobs);
  void look_at_connection_rate(const Knobs& knobs);
  void add(const Origin& at, std::string text);

  std::vector<ContradictingRates> found_;
};

void RateLinter::add(const Origin& at, std::string text) {
  const bool is_known = std::any_of(found_.begin(), found_.end(), [&](const auto& each) {
    return each.at == at && each.text == text;
  });
  if (!is_known) found_.push_back({at, std::move(text)});
}

// Of two windows the longer one must bind: hold less than the shorter one lets through in its time.
// And it must hold at least what the shorter one lets through in one of its own.
void RateLinter::look_at_windows(std::string_view name, const Knob<std::vector<Rate>>& knob) {
  if (!knob.value) return;
  const std::vector<Rate>& rates = *knob.value;  // the shortest window first
  for (std::size_t i = 0; i < rates.size(); ++i) {
    for (std::size_t j = i + 1; j < rates.size(); ++j) {
      const Rate& shorter = rates[i];
      const Rate& longer = rates[j];
      const std::string both =
          "`" + std::string(name) + "`: " + format_rate(shorter) + " and " + format_rate(longer);
      if (shorter.per_second() <= longer.per_second()) {
        add(knob.origin, both + " contradict each other: at " + format_rate(shorter) +
                             " the other one is never reached; take it out, or make it smaller");
      } else if (shorter.count > longer.count) {
        add(knob.origin, both + " contradict each other: " + format_rate(longer) +
                             " is used up before the other one counts; take one of them out");
      } else if (!longer.is_counted()) {
        add(knob.origin, both +
                             " contradict each other: a window below an hour is spaced evenly, "
                             "so that only " +
                             format_rate(longer) + " counts; write \"" + format_rate(longer) +
                             " burst N\" instead of the two");
      }
    }
  }
}

void RateLinter::look_at_connections(const Knobs& knobs) {
  const auto exceeds = [](const Knob<std::uint32_t>& inner, const Knob<std::uint32_t>& outer) {
    return inner.value && outer.value && *inner.value > *outer.value;
  };
  const auto tell = [this](const Knob<std::uint32_t>& inner, std::string_view inner_name,
                           const Knob<std::uint32_t>& outer, std::string_view outer_name) {
    add(inner.origin, "`" + std::string(inner_name) + "` = " + std::to_string(*inner.value) +
                          " can never be reached beside `" + std::string(outer_name) +
                          "` = " + std::to_string(*outer.value) + " (" +
                          format_origin(outer.origin) + "); make it smaller");
  };
  if (exceeds(knobs.connections, knobs.connections_provider))
    tell(knobs.connections, "connections", knobs.connections_provider, "connections_provider");
  if (exceeds(knobs.connections_provider, knobs.connections_source))
    tell(knobs.connections_provider, "connections_provider", knobs.connections_source,
         "connections_source");
}

// Connections of so many messages each, begun at this rate, cannot carry the rate of messages.
void RateLinter::look_at_connection_rate(const Knobs& knobs) {
  const auto slowest = [](const Knob<std::vector<Rate>>& knob) -> const Rate* {
    if (!knob.value || knob.value->empty()) return nullptr;
    return &*std::min_element(
        knob.value->begin(), knob.value->end(),
        [](const Rate& a, const Rate& b) { return a.per_second() < b.per_second(); });
  };
  const Rate* const messages = slowest(knobs.rate);
  const Rate* const connections = slowest(knobs.connection_rate);
  if (messages == nullptr || connections == nullptr || !knobs.messages_per_connection.value) return;
  const std::uint32_t each = *knobs.messages_per_connection.value;
  if (connections->per_second() * each >= messages->per_second() * (1 - 1e-9)) return;
  add(knobs.rate.origin,
      "`rate` = " + format_rate(*messages) + " can never be reached: `connection_rate` = " +
          format_rate(*connections) + " (" + format_origin(knobs.connection_rate.origin) +
          ") with `messages_per_connection` = " + std::to_string(each) + " (" +
          format_origin(knobs.messages_per_connection.origin) + ") carries less");
}

void RateLinter::look_at(const Knobs& knobs) {
  look_at_windows("rate", knobs.rate);
  look_at_windows("connection_rate", knobs.connection_rate);
  look_at_windows("recipient_rate", knobs.recipient_rate);
  look_at_connections(knobs);
  look_at_connection_rate(knobs);
}

}  // namespace

std::vector<ContradictingRates> contradicting_rates(const Profiles& profiles) {
  RateLinter linter;
  linter.look_at(profiles.effective("", nullptr, std::nullopt));
  for (const Provider& provider : profiles.providers()) {
    linter.look_at(profiles.effective("", &provider, std::nullopt));
  }
  for (const DomainSection& section : profiles.domains()) {
    const Provider* const provider = profiles.provider_of(section.pattern, {});
    linter.look_at(profiles.effective(section.pattern, provider, std::nullopt));
  }
  for (const SourceSection& section : profiles.sources()) {
    linter.look_at(profiles.effective("", nullptr, section.address));
  }
  return linter.take();
}

}  // namespace rockdove::traffic
