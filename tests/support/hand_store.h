// A store whose answers the test gives: what was handed over waits until the test says how it
// ended.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "queue/store.h"
#include "queue/trace.h"

namespace rockdove::tests {

class HandStore : public queue::Store {
 public:
  struct Commit {
    queue::Change change;
    queue::Done<void> done;
  };

  struct Chunk {
    base::MessageId id;
    std::uint32_t index = 0;
    std::shared_ptr<const std::string> octets;
    queue::Done<void> done;
  };

  struct Dropped {
    base::MessageId id;
    std::uint32_t chunks = 0;
    bool operator==(const Dropped&) const = default;
  };

  [[nodiscard]] queue::Readiness readiness() const override { return ready; }

  void commit(base::Loop& /*loop*/, queue::Change change, queue::Done<void> done) override {
    commits.push_back({std::move(change), std::move(done)});
  }

  void write_chunk(base::Loop& /*loop*/, base::MessageId id, std::uint32_t index,
                   std::shared_ptr<const std::string> octets, queue::Done<void> done) override {
    chunks.push_back({id, index, std::move(octets), std::move(done)});
  }

  void drop_chunks(base::MessageId id, std::uint32_t count) override {
    dropped.push_back({id, count});
  }

  void read_chunk(base::Loop& /*loop*/, base::MessageId /*id*/, std::uint32_t /*index*/,
                  queue::Done<std::shared_ptr<const std::string>> /*done*/) override {}

  void load(base::Loop& /*loop*/, queue::LoadRequest /*request*/,
            queue::Done<queue::LoadedQueue> /*done*/) override {}

  void find_queues(base::Loop& /*loop*/, unsigned /*loops*/,
                   queue::Done<std::vector<queue::FoundQueue>> /*done*/) override {}

  void list(base::Loop& /*loop*/, queue::ListRequest /*request*/,
            queue::Done<queue::ListedPage> /*done*/) override {}

  void select(base::Loop& /*loop*/, queue::SelectRequest /*request*/,
              queue::Done<queue::SelectedPage> /*done*/) override {}

  void summarise(base::Loop& /*loop*/, queue::SummaryRequest /*request*/,
                 queue::Done<queue::QueueSummary> /*done*/) override {}

  void read_deliveries(base::Loop& /*loop*/, queue::ReadRequest /*request*/,
                       queue::Done<queue::ReadDeliveries> /*done*/) override {}

  void find_overdue(base::Loop& /*loop*/, unsigned /*loops*/, queue::OverdueRequest /*request*/,
                    queue::Done<queue::OverduePage> /*done*/) override {}

  void view(base::Loop& /*loop*/, base::MessageId /*id*/,
            queue::Done<queue::MessageView> /*done*/) override {}

  void read_report_state(base::Loop& /*loop*/, base::MessageId /*id*/,
                         queue::Done<queue::ReportState> /*done*/) override {}

  void read_notes(base::Loop& /*loop*/, std::string /*kind*/,
                  queue::Done<std::vector<queue::NotedRow>> /*done*/) override {}

  void trace(base::Loop& /*loop*/, queue::TraceRequest /*request*/,
             queue::Done<queue::TracedPage> /*done*/) override {}

  void walk_history(base::Loop& /*loop*/, queue::WalkRequest /*request*/,
                    std::function<void(const queue::TracedMessage&)> /*visit*/,
                    queue::Done<std::optional<base::MessageId>> /*done*/) override {}

  // Ends the oldest commit.
  void end_commit(base::Result<void> result) {
    Commit commit = std::move(commits.front());
    commits.pop_front();
    commit.done(std::move(result));
  }

  // Ends the writing of the oldest chunk that waits.
  void end_chunk(base::Result<void> result) { chunks.at(chunks_ended++).done(std::move(result)); }

  queue::Readiness ready = queue::Readiness::Ready;
  std::deque<Commit> commits;
  std::deque<Chunk> chunks;  // all that were handed over
  std::size_t chunks_ended = 0;
  std::vector<Dropped> dropped;
};

}  // namespace rockdove::tests
