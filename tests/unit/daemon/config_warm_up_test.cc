// [[warm_up]]: what it comes to, and what is wrong with it.
#include "tests/unit/daemon/parsed.h"

namespace rockdove::daemon {
namespace {

const std::string kTwo =
    "[[source]]\nname = \"a\"\naddress = \"192.0.2.1\"\n"
    "[[source]]\nname = \"b\"\naddress = \"192.0.2.2\"\n";
const std::string kPlan = kTwo + "[[warm_up]]\nsources = [\"b\"]\n";

TEST_CASE("a warm-up plan has sources, numbers and shares") {
  const Configuration configuration =
      accepted(kPlan + "daily = [50, 100, 100]\nhold_above = \"10%\"\nstop_above = \"50%\"\n" +
               "[[warm_up]]\nsources = \"a\"\ndaily = [5]\n");
  REQUIRE(configuration.outbound.warm_ups.size() == 2);
  const outbound::WarmUpOrder& order = configuration.outbound.warm_ups[0];
  REQUIRE(order.sources.size() == 1);
  CHECK(order.sources[0]->name == "b");
  CHECK(order.provider.empty());
  CHECK(order.plan.daily == std::vector<std::uint32_t>{50, 100, 100});
  CHECK(order.plan.hold_above == 0.1);
  CHECK(order.plan.stop_above == 0.5);
  CHECK(configuration.outbound.warm_ups[1].plan.hold_above == 0.05);
}

TEST_CASE("what is wrong with warm-up plans is said where it stands") {
  CHECK(problems_of(kTwo + "[[warm_up]]\n") ==
        Lines{"c:8:1: error: the warm-up plan has no `sources`",
              "c:8:1: error: the warm-up plan has no `daily`"});
  CHECK(problems_of(kTwo + "[[warm_up]]\nsources = [\"bb\"]\ndaily = [1]\n") ==
        Lines{"c:9:12: error: no [[source]] that is used is called `bb`"});
  CHECK(problems_of(kPlan + "daily = [100, 50]\n") ==
        Lines{"c:10:9: error: `daily` falls from 100 to 50: write the messages of each day, "
              "rising, as [50, 100, 200, 500]"});
  CHECK(problems_of(kPlan + "daily = [0]\n") ==
        Lines{"c:10:9: error: `daily` has numbers from 1 to 10000000: write the messages of each "
              "day, rising, as [50, 100, 200, 500]"});
  CHECK(problems_of(kPlan + "daily = [5]\nhold_above = \"0.05\"\n") ==
        Lines{"c:11:14: error: it is \"1%\" to \"100%\" of a day's attempts, as \"5%\""});
  CHECK(problems_of(kPlan + "daily = [5]\nprovider = \"nobody\"\n") ==
        Lines{"c:11:12: error: no traffic profile has a provider `nobody`: none of those in use "
              "has any (`[traffic] profiles`)"});
  CHECK(problems_of(kPlan + "daily = [5]\n[[warm_up]]\nsources = [\"b\"]\ndaily = [6]\n") ==
        Lines{"c:12:12: error: the source `b` has a plan for all providers already, in line 8"});
}

}  // namespace
}  // namespace rockdove::daemon
