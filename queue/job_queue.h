// What waits of one account, and in which order it goes. Four steps, each in turn:
//
//   lane     urgent, normal, bulk, by priority: the first that has something, but after kInARow
//            jobs of it one of the lanes below, so that none starves
//   tenant   deficit round robin; each has as many jobs in a turn as its weight
//   site     those that can be sent to; a closed one is passed over until it opens again
//   queue    a destination's, first in, first out
//
// A step costs no search: a closed site is moved out of the turns when its own one comes, once for
// each of its lanes and tenants, and back when it opens; so is a closed tenant.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "queue/types.h"

namespace rockdove::queue {

// Deliveries of one message that go to one queue together: one transaction, if the next hop agrees.
struct Job {
  MessagePointer message;
  std::vector<Delivery> deliveries;
  QueueName queue;
};

[[nodiscard]] bool has(const Job& job, DeliveryId delivery);

// The same in jobs of at most so many deliveries each, in their order; 0: no bound.
[[nodiscard]] std::vector<Job> in_parts(Job job, std::size_t deliveries_max);

enum class Lane : std::uint8_t { Urgent, Normal, Bulk };

// `priority` as in Delivery. An MT-PRIORITY (RFC 6710) above 0 is urgent, below it bulk.
[[nodiscard]] Lane lane_of(std::uint8_t priority);

// How many jobs a tenant has in one turn; 0 counts as 1.
using TenantWeight = std::function<std::uint32_t(std::string_view tenant)>;

class JobQueue {
 public:
  class Line;

 private:
  struct Tenant;

  // What a tenant has waiting for one site, in one lane.
  struct Strand {
    Line* line = nullptr;
    Tenant* tenant = nullptr;
    std::deque<QueueName> turns;  // the queues that have jobs, the next one first
    bool is_parked = false;
    std::list<Strand*>::iterator place;  // in the tenant's turns, or the line's parked
  };

 public:
  static constexpr unsigned kInARow = 8;

  // What waits for one site. It begins closed, and is destroyed when nothing waits, or together
  // with the JobQueue that it was used with.
  class Line {
   public:
    Line() = default;
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;

    [[nodiscard]] bool is_open() const { return is_open_; }

    // Jobs of all its queues.
    [[nodiscard]] std::size_t size() const { return size_; }

    [[nodiscard]] const std::unordered_map<QueueName, std::deque<Job>>& jobs() const {
      return jobs_;
    }

   private:
    friend class JobQueue;

    bool is_open_ = false;
    std::size_t size_ = 0;
    std::unordered_map<QueueName, std::deque<Job>> jobs_;  // none is empty
    std::map<std::pair<Lane, std::string>, Strand> strands_;
    std::list<Strand*> parked_;  // out of the turns, because it was closed when theirs came
  };

  enum class End : std::uint8_t { Front, Back };

  // `weight` outlives it; an empty function gives each tenant 1.
  explicit JobQueue(const TenantWeight& weight) : weight_(weight) {}

  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  // To one end of its queue.
  void put(Line& line, Job job, End end);

  void open(Line& line);
  void close(Line& line);

  // This tenant is passed over, whatever line its jobs stand in, until it opens again.
  void close_tenant(const std::string& tenant);
  void open_tenant(const std::string& tenant);

  // Whether it has a job of an open tenant.
  [[nodiscard]] static bool has_turn(const Line& line);

  // The line whose turn it is; null: no open one has a job of an open tenant.
  [[nodiscard]] Line* next();
  // The next job of that line, and the same taken out. Only when next() is not null.
  [[nodiscard]] const Job& front();
  [[nodiscard]] Job take();

  // Takes those jobs of one queue that fulfil the condition to the end of `taken`.
  void take_out(Line& line, const QueueName& queue,
                const std::function<bool(const Job&)>& condition, std::vector<Job>& taken);
  // Everything of this line.
  void take_all(Line& line, std::vector<Job>& taken);

  // Whether next() is not null, were all tenants open.
  [[nodiscard]] bool has_next() const { return open_size_ > 0; }

  // Jobs of all lines, open or not.
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Tenant {
    Lane lane = Lane::Normal;
    std::string name;
    std::size_t strands = 0;  // also parked ones
    std::uint32_t left = 0;   // jobs of its turn
    std::list<Strand*> turns;
    bool is_listed = false;
    bool is_closed = false;              // then it is not listed, or about to be passed over
    std::list<Tenant*>::iterator place;  // in the lane's turns
  };

  struct LaneQueue {
    std::map<std::string, Tenant> tenants;  // that have a strand
    std::list<Tenant*> turns;               // that have one in turns; perhaps a closed one
    unsigned in_a_row = 0;                  // jobs, while a lane below waited
  };

  Strand& strand_of(Line& line, const QueueName& queue);
  void link(Strand& strand);
  void unlink(Strand& strand);
  void drop_queue(Line& line, const QueueName& queue);
  void erase_strand(Line& line, Strand& strand);
  void list(Tenant& tenant);
  void unlist(Tenant& tenant);
  // The first strand of an open line in this lane; null: none.
  Strand* front_of(LaneQueue& lane);
  // The strand whose turn it is, and its lane; null: none.
  std::pair<Strand*, std::size_t> choose(std::array<Strand*, 3>& fronts);
  void note_taken(std::size_t lane, const std::array<Strand*, 3>& fronts);

  const TenantWeight& weight_;
  std::array<LaneQueue, 3> lanes_;
  std::set<std::string> closed_;  // tenants, with jobs or without
  std::size_t size_ = 0;
  std::size_t open_size_ = 0;  // of open lines
};

}  // namespace rockdove::queue
