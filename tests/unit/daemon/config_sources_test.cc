// [[source]] and [[pool]]: what they come to, and what is wrong with them.
#include "tests/unit/daemon/parsed.h"

namespace rockdove::daemon {
namespace {

const std::string kTwo =
    "[[source]]\nname = \"a\"\naddress = \"192.0.2.1\"\nehlo = \"Mail-A.example.org\"\n"
    "[[source]]\nname = \"b\"\naddress = \"2001:db8::1\"\n";

TEST_CASE("without pools all sources are one, and the name is the machine's where none is given") {
  const Configuration configuration = accepted("hostname = \"relay.example.org\"\n" + kTwo);
  REQUIRE(configuration.outbound.pools.size() == 1);
  const outbound::SourcePool& pool = configuration.outbound.pools[0];
  CHECK(pool.name == "all");
  CHECK(pool.tenants.empty());
  REQUIRE(pool.members.size() == 2);
  CHECK(pool.members[0].source->name == "a");
  CHECK(base::format_ip_address(pool.members[0].source->address) == "192.0.2.1");
  CHECK(pool.members[0].source->ehlo == "mail-a.example.org");
  CHECK(pool.members[1].source->ehlo == "relay.example.org");
  CHECK(pool.members[1].weight == 1);
  CHECK(accepted("").outbound.pools.empty());
}

TEST_CASE("pools have weights and tenants") {
  const Configuration configuration =
      accepted(kTwo +
               "[[pool]]\nname = \"news\"\nsources = [\"a\", \"b:3\"]\ntenant = [\"shop\", "
               "\"letters\"]\n[[pool]]\nname = \"rest\"\nsources = \"b\"\n");
  const std::vector<outbound::SourcePool>& pools = configuration.outbound.pools;
  REQUIRE(pools.size() == 2);
  CHECK(pools[0].tenants == std::vector<std::string>{"shop", "letters"});
  REQUIRE(pools[0].members.size() == 2);
  CHECK(pools[0].members[0].weight == 1);
  CHECK(pools[0].members[1].weight == 3);
  CHECK(pools[0].members[1].source == pools[1].members[0].source);
  CHECK(pools[1].tenants.empty());
}

TEST_CASE("what is wrong with sources is said where it stands") {
  CHECK(problems_of("[[source]]\n") == Lines{"c:2:1: error: the source has no `name`"});
  CHECK(problems_of("[[source]]\nname = \"a\"\n") ==
        Lines{"c:2:1: error: the source `a` has no `address`"});
  CHECK(problems_of("[[source]]\nname = \"a\"\naddress = \"mail\"\n") ==
        Lines{"c:4:11: error: \"mail\" is no address; write one of this machine's, as "
              "\"192.0.2.10\" or \"2001:db8::10\""});
  for (const char* address :
       {"224.0.0.1", "239.1.2.3", "255.255.255.255", "240.0.0.1", "fe80::1", "ff02::1"}) {
    CAPTURE(address);
    const Lines problems =
        problems_of("[[source]]\nname = \"a\"\naddress = \"" + std::string(address) + "\"\n");
    REQUIRE(problems.size() == 1);
    CHECK(problems.front().find("mail cannot go out from there") != std::string::npos);
  }
  CHECK(problems_of(kTwo + "[[source]]\nname = \"a\"\naddress = \"192.0.2.9\"\n") ==
        Lines{"c:10:8: error: the source of line 2 is called `a`, too"});
  CHECK(problems_of(kTwo + "[[source]]\nname = \"c\"\naddress = \"192.0.2.1\"\n") ==
        Lines{"c:11:11: error: the source of line 2 has this address, too: receivers could not "
              "tell them apart"});
}

TEST_CASE("what is wrong with pools is said where it stands") {
  const std::string pool = kTwo + "[[pool]]\nname = \"p\"\n";
  CHECK(problems_of(kTwo + "[[pool]]\nsources = [\"a\", \"b\"]\n") ==
        Lines{"c:9:1: error: the pool has no `name`"});
  CHECK(problems_of(pool + "sources = [\"a\", \"bb\"]\n") ==
        Lines{"c:6:1: warning: the source `b` is in no pool and never used",
              "c:11:17: error: there is no [[source]] `bb`"});
  CHECK(problems_of(pool + "sources = [\"b\", \"a:0\"]\n") ==
        Lines{"c:2:1: warning: the source `a` is in no pool and never used",
              "c:11:17: error: \"a:0\": behind the colon stands a weight from 1 to 1000, as in "
              "\"a:3\""});
  CHECK(problems_of(pool + "sources = [\"b\", \"a\", \"b:2\"]\n") ==
        Lines{"c:11:22: error: `b` is in this pool already; to give it more mail, raise its "
              "weight, as in \"b:2\""});
  CHECK(
      problems_of(pool + "sources = [\"b\", \"a\"]\n[[pool]]\nname = \"p\"\nsources = [\"a\"]\n") ==
      Lines{"c:12:1: error: the pool of line 9 has no `tenant`, either; only one can be for all "
            "the others",
            "c:13:8: error: the pool of line 9 is called `p`, too"});
  CHECK(problems_of(pool + "sources = [\"b\", \"a\"]\ntenant = [\"x\"]\n"
                           "[[pool]]\nname = \"q\"\nsources = [\"a\"]\ntenant = [\"x\"]\n") ==
        Lines{"c:16:11: error: the tenant `x` has a pool already, in line 12"});
  CHECK(
      problems_of(pool +
                  "sources = [\"b\", \"a\"]\ntenant = [\"Shop.*\", \"shop.*\", \"x y\"]\n") ==
      Lines{"c:12:21: error: the tenant `shop.*` has a pool already, in line 12",
            "c:12:31: error: a tenant is 1 to 64 letters, digits, dots, hyphens, underscores, @ or "
            "+; `*` stands for any run of them"});
  CHECK(problems_of(pool + "sources = [\"b\", \"a\"]\ntenant = []\n") ==
        Lines{"c:9:1: error: `tenant` of the pool is empty; leave it out for a pool of all who are "
              "in no other one"});
}

}  // namespace
}  // namespace rockdove::daemon
