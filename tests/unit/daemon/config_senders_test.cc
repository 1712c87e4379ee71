// Whose mail comes in, as the configuration says it.
#include <catch2/catch.hpp>

#include "parsed.h"
#include "queue/sender_limits.h"

using namespace rockdove;
using namespace rockdove::daemon;

namespace {

// The problem that this key of [[listener]] has, or "".
std::string problem_of(const std::string& line) {
  const Parsed parsed =
      parse("postmaster = \"a@b.example\"\n[[listener]]\naddress = \":25\"\n" + line + "\n");
  return parsed.problems.empty() ? "" : parsed.problems.front();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a listener's tenant, and who may name another") {
  const Parsed parsed = parse(
      "postmaster = \"a@b.example\"\n[[listener]]\naddress = \":25\"\ntenant = \"Office\"\n"
      "tenant_from = [\"10.3.0.0/16\"]\n[sendmail]\ntenant = \"cron+2\"\n"
      "tenant_from = [\"www-data\", \"1000\"]\n");
  REQUIRE(parsed.configuration.has_value());
  const inbound::InboundSettings& settings = parsed.configuration->inbound;
  CHECK(settings.listeners.at(0).tenant == "office");
  CHECK(settings.listeners.at(0).tenant_from.size() == 1);
  CHECK(settings.submission.listener.tenant == "cron+2");
  CHECK(settings.submission.tenant_from == std::vector<std::string>{"www-data", "1000"});
}

TEST_CASE("a tenant that is no name is refused with what one is") {
  CHECK(problem_of("tenant = \"a\"").empty());
  CHECK(has(problem_of("tenant = \"two words\""), "a tenant is 1 to 64 letters, digits, dots"));
  CHECK(has(problem_of("tenant = \"" + std::string(65, 'a') + "\""), "a tenant is 1 to 64"));
  CHECK(has(problem_of("tenant_from = true"), "listener.tenant_from"));
}

TEST_CASE("who may not send anywhere can name no tenant, which is said") {
  const std::string office = "relay_from = [\"10.3.0.0/16\", \"::1\"]\ntenant_from = [";
  CHECK(problem_of(office + "\"10.3.7.1\", \"10.0.0.0/8\", \"::1\"]").empty());
  CHECK(has(problem_of(office + "\"10.3.7.1\", \"10.4.0.0/16\"]"),
            ":5:15: warning: 10.4.0.0/16 is outside of `relay_from` of `smtp`, and there is no "
            "`auth` by which its clients could log in"));
  CHECK(has(problem_of("tenant_from = [\"10.4.0.0/16\"]"), "warning: 10.4.0.0/16 is outside"));
  CHECK(problem_of("auth = \"optional\"\ntls = \"optional\"\ntenant_from = [\"10.4.0.0/16\"]")
            .find("outside") == std::string::npos);
}

TEST_CASE("tenants and campaigns have weights and rates") {
  const Parsed parsed = parse(
      "postmaster = \"a@b.example\"\n[[listener]]\naddress = \":25\"\n"
      "[[tenant]]\nname = \"Shop.example\"\nweight = 3\nrate = [\"20000/day\", \"10/s\"]\n"
      "[[tenant]]\nname = \"*.example\"\nweight = 2\n"
      "[[campaign]]\nname = \"Spring *\"\nrate = \"5000/h\"\n");
  REQUIRE(parsed.configuration.has_value());
  const queue::QueueSettings& settings = parsed.configuration->queue;
  REQUIRE(settings.tenants.size() == 2);
  CHECK(settings.tenants[0].name == "shop.example");
  CHECK(settings.tenants[0].weight == 3);
  CHECK(traffic::format_rates(settings.tenants[0].rates) == "10/s, 20000/day");
  CHECK(settings.tenants[1].weight == 2);
  CHECK(settings.tenants[1].rates.empty());
  REQUIRE(settings.campaigns.size() == 1);
  CHECK(queue::settings_of(settings.campaigns, "spring 2027") == settings.campaigns.data());
  CHECK(queue::settings_of(settings.tenants, "shop.example")->weight == 3);
  CHECK(queue::settings_of(settings.tenants, "news.example")->weight == 2);
  CHECK(queue::settings_of(settings.tenants, "news") == nullptr);
  CHECK(queue::settings_of(settings.tenants, "") == nullptr);
}

TEST_CASE("what is wrong with tenants and campaigns is said") {
  const auto problem = [](const std::string& text) {
    const Parsed parsed =
        parse("postmaster = \"a@b.example\"\n[[listener]]\naddress = \":25\"\n" + text + "\n");
    return parsed.problems.empty() ? "" : parsed.problems.front();
  };
  CHECK(has(problem("[[tenant]]\nweight = 2"), ":4:1: error: the tenant has no `name`"));
  CHECK(has(problem("[[campaign]]\nrate = \"1/s\""), "the campaign has no `name`"));
  CHECK(has(problem("[[tenant]]\nname = \"two words\""), "`*` stands for any run of them"));
  CHECK(has(problem("[[tenant]]\nname = \"a\"\nweight = 0"), "1 to 1000"));
  CHECK(has(problem("[[tenant]]\nname = \"a\"\nrate = \"fast\""), ":6:8: error: "));
  CHECK(has(problem("[[tenant]]\nname = \"a\"\nrate = 10"),
            "wants a rate, as in \"10/s\", or a list"));
  CHECK(has(problem("[[tenant]]\nname = \"a\"\nrate = []"), "\"off\" is no limit"));
  CHECK(
      has(problem("[[tenant]]\nname = \"*.example\"\n[[tenant]]\nname = \"a.example\""),
          ":7:8: error: `a.example` is never used: the tenant of line 4 is about it, and the first "
          "that matches counts"));
  CHECK(problem("[[campaign]]\nname = \"two words\"").empty());
  CHECK(has(problem("[[campaign]]\nname = \"caf\u00e9\""), "printable ASCII"));
  CHECK(has(problem("[[campaign]]\nname = \"a\"\nweight = 2"), "unknown key"));
}
