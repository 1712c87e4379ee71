#include "queue/job_queue.h"

#include <algorithm>
#include <iterator>

#include "mta/base/assert.h"

namespace rockdove::queue {

bool has(const Job& job, DeliveryId delivery) {
  return job.message->id == delivery.message &&
         std::any_of(job.deliveries.begin(), job.deliveries.end(),
                     [delivery](const Delivery& one) { return one.number == delivery.number; });
}

std::vector<Job> in_parts(Job job, std::size_t deliveries_max) {
  std::vector<Job> parts;
  if (deliveries_max == 0 || job.deliveries.size() <= deliveries_max) {
    parts.push_back(std::move(job));
    return parts;
  }
  for (std::size_t i = 0; i < job.deliveries.size(); ++i) {
    if (i % deliveries_max == 0) parts.push_back({job.message, {}, job.queue});
    parts.back().deliveries.push_back(std::move(job.deliveries[i]));
  }
  return parts;
}

Lane lane_of(std::uint8_t priority) {
  const int value = priority_of(priority);
  if (value == 0) return Lane::Normal;
  return value > 0 ? Lane::Urgent : Lane::Bulk;
}

JobQueue::Strand& JobQueue::strand_of(Line& line, const QueueName& queue) {
  const Lane lane = lane_of(queue.priority);
  const auto [found, is_new] = line.strands_.try_emplace({lane, queue.tenant});
  Strand& strand = found->second;
  if (!is_new) return strand;
  Tenant& tenant = lanes_[static_cast<std::size_t>(lane)].tenants[queue.tenant];
  if (tenant.strands++ == 0) {
    tenant.lane = lane;
    tenant.name = queue.tenant;
    tenant.is_closed = closed_.contains(queue.tenant);
  }
  strand.line = &line;
  strand.tenant = &tenant;
  link(strand);
  return strand;
}

void JobQueue::link(Strand& strand) {
  std::list<Strand*>& where = strand.line->is_open_ ? strand.tenant->turns : strand.line->parked_;
  strand.is_parked = !strand.line->is_open_;
  strand.place = where.insert(where.end(), &strand);
  if (!strand.is_parked) list(*strand.tenant);
}

void JobQueue::unlink(Strand& strand) {
  if (strand.is_parked) {
    strand.line->parked_.erase(strand.place);
    return;
  }
  strand.tenant->turns.erase(strand.place);
  if (strand.tenant->turns.empty()) unlist(*strand.tenant);
}

void JobQueue::list(Tenant& tenant) {
  if (tenant.is_listed || tenant.is_closed) return;
  tenant.is_listed = true;
  std::list<Tenant*>& turns = lanes_[static_cast<std::size_t>(tenant.lane)].turns;
  tenant.place = turns.insert(turns.end(), &tenant);
}

void JobQueue::unlist(Tenant& tenant) {
  if (!tenant.is_listed) return;
  tenant.is_listed = false;
  tenant.left = 0;
  lanes_[static_cast<std::size_t>(tenant.lane)].turns.erase(tenant.place);
}

void JobQueue::put(Line& line, Job job, End end) {
  std::deque<Job>& jobs = line.jobs_[job.queue];
  if (jobs.empty()) strand_of(line, job.queue).turns.push_back(job.queue);
  ++line.size_;
  ++size_;
  if (line.is_open_) ++open_size_;
  if (end == End::Front) {
    jobs.push_front(std::move(job));
  } else {
    jobs.push_back(std::move(job));
  }
}

void JobQueue::open(Line& line) {
  if (line.is_open_) return;
  line.is_open_ = true;
  open_size_ += line.size_;
  const std::list<Strand*> parked = std::exchange(line.parked_, {});
  for (Strand* strand : parked) link(*strand);
}

void JobQueue::close(Line& line) {
  if (!line.is_open_) return;
  line.is_open_ = false;
  open_size_ -= line.size_;
}

void JobQueue::close_tenant(const std::string& name) {
  closed_.insert(name);
  for (LaneQueue& lane : lanes_) {
    const auto found = lane.tenants.find(name);
    if (found != lane.tenants.end()) found->second.is_closed = true;
  }
}

void JobQueue::open_tenant(const std::string& name) {
  closed_.erase(name);
  for (LaneQueue& lane : lanes_) {
    const auto found = lane.tenants.find(name);
    if (found == lane.tenants.end()) continue;
    found->second.is_closed = false;
    if (!found->second.turns.empty()) list(found->second);
  }
}

JobQueue::Strand* JobQueue::front_of(LaneQueue& lane) {
  while (!lane.turns.empty()) {
    Tenant& tenant = *lane.turns.front();
    while (!tenant.is_closed && !tenant.turns.empty()) {
      Strand& strand = *tenant.turns.front();
      if (strand.line->is_open_) return &strand;
      tenant.turns.pop_front();
      link(strand);  // to those parked
    }
    unlist(tenant);
  }
  return nullptr;
}

std::pair<JobQueue::Strand*, std::size_t> JobQueue::choose(std::array<Strand*, 3>& fronts) {
  for (std::size_t i = 0; i < lanes_.size(); ++i) fronts[i] = front_of(lanes_[i]);
  std::pair<Strand*, std::size_t> chosen{nullptr, 0};
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (fronts[i] == nullptr) continue;
    chosen = {fronts[i], i};
    if (lanes_[i].in_a_row < kInARow) break;  // else one of a lane below, if there is one
  }
  return chosen;
}

bool JobQueue::has_turn(const Line& line) {
  return std::any_of(line.strands_.begin(), line.strands_.end(),
                     [](const auto& strand) { return !strand.second.tenant->is_closed; });
}

JobQueue::Line* JobQueue::next() {
  if (open_size_ == 0) return nullptr;
  std::array<Strand*, 3> fronts{};
  const Strand* strand = choose(fronts).first;
  return strand == nullptr ? nullptr : strand->line;
}

const Job& JobQueue::front() {
  std::array<Strand*, 3> fronts{};
  const Strand* strand = choose(fronts).first;
  MTA_ASSERT(strand != nullptr);
  return strand->line->jobs_.at(strand->turns.front()).front();
}

// Lanes that were passed over have had their rows; the one that was taken from counts while
// somebody below it waits.
void JobQueue::note_taken(std::size_t lane, const std::array<Strand*, 3>& fronts) {
  for (std::size_t i = 0; i < lane; ++i) lanes_[i].in_a_row = 0;
  const bool others_wait =
      std::any_of(fronts.begin() + static_cast<std::ptrdiff_t>(lane) + 1, fronts.end(),
                  [](const Strand* front) { return front != nullptr; });
  lanes_[lane].in_a_row = others_wait ? lanes_[lane].in_a_row + 1 : 0;
}

Job JobQueue::take() {
  std::array<Strand*, 3> fronts{};
  const auto [chosen, lane] = choose(fronts);
  MTA_ASSERT(chosen != nullptr);
  note_taken(lane, fronts);
  Strand& strand = *chosen;
  Tenant& tenant = *strand.tenant;
  Line& line = *strand.line;
  if (tenant.left == 0) tenant.left = weight_ ? std::max(weight_(tenant.name), 1U) : 1;
  const QueueName name = std::move(strand.turns.front());
  strand.turns.pop_front();
  const auto found = line.jobs_.find(name);
  MTA_ASSERT(found != line.jobs_.end() && !found->second.empty());
  Job job = std::move(found->second.front());
  found->second.pop_front();
  --line.size_;
  --size_;
  --open_size_;
  const bool is_turn_over = --tenant.left == 0;
  std::list<Tenant*>& turns = lanes_[lane].turns;
  if (is_turn_over) turns.splice(turns.end(), turns, tenant.place);
  tenant.turns.splice(tenant.turns.end(), tenant.turns, strand.place);
  if (found->second.empty()) {
    line.jobs_.erase(found);
    if (strand.turns.empty()) erase_strand(line, strand);
  } else {
    strand.turns.push_back(name);  // its next turn comes after the others'
  }
  return job;
}

void JobQueue::erase_strand(Line& line, Strand& strand) {
  Tenant& tenant = *strand.tenant;
  unlink(strand);
  if (--tenant.strands > 0) {
    line.strands_.erase({tenant.lane, tenant.name});
    return;
  }
  const Lane lane = tenant.lane;
  const std::string name = tenant.name;
  line.strands_.erase({lane, name});
  lanes_[static_cast<std::size_t>(lane)].tenants.erase(name);
}

void JobQueue::drop_queue(Line& line, const QueueName& queue) {
  const auto found = line.strands_.find({lane_of(queue.priority), queue.tenant});
  MTA_ASSERT(found != line.strands_.end());
  std::erase(found->second.turns, queue);
  if (found->second.turns.empty()) erase_strand(line, found->second);
}

void JobQueue::take_out(Line& line, const QueueName& queue,
                        const std::function<bool(const Job&)>& condition, std::vector<Job>& taken) {
  const auto found = line.jobs_.find(queue);
  if (found == line.jobs_.end()) return;
  std::deque<Job>& jobs = found->second;
  // Mostly there is none, and then nothing is to be moved.
  if (std::none_of(jobs.begin(), jobs.end(), condition)) return;
  const auto kept = std::stable_partition(jobs.begin(), jobs.end(),
                                          [&condition](const Job& job) { return !condition(job); });
  const auto count = static_cast<std::size_t>(jobs.end() - kept);
  line.size_ -= count;
  size_ -= count;
  if (line.is_open_) open_size_ -= count;
  std::move(kept, jobs.end(), std::back_inserter(taken));
  jobs.erase(kept, jobs.end());
  if (!jobs.empty()) return;
  line.jobs_.erase(found);
  drop_queue(line, queue);
}

void JobQueue::take_all(Line& line, std::vector<Job>& taken) {
  for (auto& [queue, jobs] : line.jobs_) {
    std::move(jobs.begin(), jobs.end(), std::back_inserter(taken));
    drop_queue(line, queue);
  }
  line.jobs_.clear();
  if (line.is_open_) open_size_ -= line.size_;
  size_ -= line.size_;
  line.size_ = 0;
}

}  // namespace rockdove::queue
