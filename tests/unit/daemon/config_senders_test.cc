// Whose mail comes in, as the configuration says it.
#include <catch2/catch.hpp>

#include "parsed.h"

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
