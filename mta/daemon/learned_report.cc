#include "mta/daemon/learned_report.h"

#include <iterator>
#include <memory>
#include <utility>

#include "mta/outbound/dispatcher.h"

namespace rockdove::daemon {
namespace {

struct Collecting {
  const outbound::Environment& environment;
  admin::RouteExplainer::PacesDone done;
  std::vector<queue::LearnedPace> found{};
};

// One loop after the other, then back to the asker.
void ask(const std::shared_ptr<Collecting>& collecting, unsigned loop) {
  const outbound::Environment& environment = collecting->environment;
  if (loop == environment.loop_count()) {
    return environment.loop.post([collecting] { collecting->done(std::move(collecting->found)); });
  }
  const unsigned asker = environment.loop.index();
  environment.on_loop(loop, [collecting, loop, asker](outbound::Dispatcher& dispatcher) {
    dispatcher.environment().on_loop(
        asker,
        [collecting, loop, theirs = dispatcher.teaching().paces()](outbound::Dispatcher&) mutable {
          std::move(theirs.begin(), theirs.end(), std::back_inserter(collecting->found));
          ask(collecting, loop + 1);
        });
  });
}

}  // namespace

void collect_paces(const outbound::Environment& environment,
                   admin::RouteExplainer::PacesDone done) {
  ask(std::shared_ptr<Collecting>(new Collecting{environment, std::move(done)}), 0);
}

}  // namespace rockdove::daemon
