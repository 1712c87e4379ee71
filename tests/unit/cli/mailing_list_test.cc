// The input of `rockdove plan`: recipients by domain, and hosts of domains.
#include "mta/cli/mailing_list.h"

#include <sstream>

#include <catch2/catch.hpp>

#include "mta/cli/plan_report.h"

namespace {

using namespace rockdove;
using namespace rockdove::cli;
using namespace std::chrono_literals;

base::Result<MailingList> list(const std::string& text) {
  std::istringstream input(text);
  return read_mailing_list(input);
}

std::string fault(const std::string& text) {
  const auto read = list(text);
  REQUIRE_FALSE(read);
  return read.error().text();
}

}  // namespace

TEST_CASE("mailing list: addresses, domains and counts are put together by domain") {
  const auto read = list(
      "# our customers\n\na@Example.NET\r\nb@example.net\n  c@b\xC3\xBC"
      "cher.example \nexample.org, 4711\nexample.org\n\"o,d d\"@example.org\n");
  REQUIRE(read);
  CHECK(read->recipients == std::map<std::string, std::uint64_t>{{"example.net", 2},
                                                                 {"example.org", 4713},
                                                                 {"xn--bcher-kva.example", 1}});
  CHECK(read->total == 4716);
}

TEST_CASE("mailing list: what cannot be meant is told with its line") {
  CHECK(fault("a@x.example\nx.example,many\n").find("line 2") != std::string::npos);
  CHECK(fault("x.example,many\n").find("a comma and a count") != std::string::npos);
  CHECK(fault("x.example,999999999999\n").find("100000000") != std::string::npos);
  CHECK(fault("no domain\n").find("line 1") != std::string::npos);
  CHECK(fault("x.example,60000000\ny.example,60000000\n").find("more than 100000000 recipients") !=
        std::string::npos);
  CHECK(fault("# nobody\n").find("no recipient") != std::string::npos);
}

TEST_CASE("mailing list: hosts of domains, and of all others") {
  std::istringstream good("example.net MX1.example.org mx2.example.org.\n* mx.other.example\n");
  const auto hosts = read_hosts(good);
  REQUIRE(hosts);
  CHECK(hosts->at("example.net") == std::vector<std::string>{"mx1.example.org", "mx2.example.org"});
  CHECK(hosts->at("*") == std::vector<std::string>{"mx.other.example"});
  std::istringstream bare("example.net\n");
  CHECK_FALSE(read_hosts(bare));
}

TEST_CASE("plan report: the slowest first, the rest together, and what is not planned") {
  std::vector<queue::RehearsedAccount> accounts(3);
  accounts[0] = {"mx:a", 10, 10, 1, 1s, 5s, 1, 1, queue::Limit::Nothing};
  accounts[1] = {"provider:big", 1000, 1000, 7, 1s, 100s, 9, 4, queue::Limit::Rate};
  accounts[2] = {"provider:slow", 1000, 900, 2, 1s, 3600s, 9, 4, queue::Limit::SiteConnections};
  const std::string text = format_plan(accounts, {3, 0}, base::WallTime{} + 24h, 2);
  const std::size_t slow = text.find("provider:slow");
  CHECK(slow < text.find("provider:big"));
  CHECK(text.find("not yet") < text.find("provider:big"));
  CHECK(text.find("(1 others)") != std::string::npos);
  CHECK(text.find("10/s rate\n") != std::string::npos);
  CHECK(text.find("3 recipients would be returned") != std::string::npos);
  const auto lines = plan_as_json(accounts, {3, 4});
  REQUIRE(lines.size() == 4);
  CHECK(lines[0]["account"] == "provider:slow");
  CHECK(lines[0]["sent"] == 900);
  CHECK(lines[1]["limited_by"] == "rate");
  CHECK(lines[1]["seconds"] == 100.0);
  CHECK(lines[3]["recipients"] == 2010);
  CHECK(lines[3]["seconds"] == 3600.0);
  CHECK(lines[3]["unknown"] == 4);
}
