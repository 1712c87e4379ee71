#include "mta/admin/learned_text.h"

#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include "queue/reading.h"

namespace rockdove::admin {

using base::Result;

std::string format_learned(const queue::LearnedPace& learned) {
  nlohmann::ordered_json json{{"account", learned.account}};
  if (learned.pace) json["pace"] = *learned.pace;
  if (learned.mean) json["mean"] = *learned.mean;
  return json.dump(-1, ' ', /*ensure_ascii=*/false,
                   nlohmann::ordered_json::error_handler_t::replace);
}

Result<std::vector<queue::LearnedPace>> read_learned(const queue::Rows& rows, base::Now now) {
  std::map<std::string, queue::LearnedPace> all;
  const Result<std::vector<queue::NotedRow>> backoffs =
      queue::read_notes(rows, queue::kBackoffNotes);
  if (!backoffs) return backoffs.error();
  for (const queue::NotedRow& row : *backoffs) {
    const Result<traffic::BackoffState> state = queue::decode_backoff(row.value);
    if (!state) continue;
    const traffic::Backoff::Settings any{traffic::Backoff::kNoCeiling, 1e-3};
    all[row.name].pace = traffic::Backoff(any, *state, now.wall).pace();
  }
  const Result<std::vector<queue::NotedRow>> uptakes = queue::read_notes(rows, queue::kUptakeNotes);
  if (!uptakes) return uptakes.error();
  for (const queue::NotedRow& row : *uptakes) {
    const Result<traffic::UptakeState> state = queue::decode_uptake(row.value);
    if (state) all[row.name].mean = traffic::Uptake(*state, now).mean();
  }
  std::vector<queue::LearnedPace> list;
  for (auto& [name, learned] : all) {
    learned.account = name;
    if (learned.planned()) list.push_back(std::move(learned));
  }
  return list;
}

}  // namespace rockdove::admin
