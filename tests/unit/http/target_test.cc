#include "mta/http/target.h"

#include <catch2/catch.hpp>

using namespace rockdove::http;

TEST_CASE("http target: what is encoded is read back as it was") {
  std::string octets;
  for (int i = 0; i < 256; ++i) octets += static_cast<char>(i);
  const Target target{"/queue/a b", {{"sender", "a+b&c=d%@example.com"}, {"x", octets}, {"", ""}}};
  const auto parsed = parse_target(format_target(target));
  REQUIRE(parsed);
  CHECK(parsed->path == target.path);
  CHECK(parsed->parameters == target.parameters);
}

TEST_CASE("http target: a plus sign is a plus sign, and a parameter may have no value") {
  const auto parsed = parse_target("/route?address=a+b@example.com&verbose&&address=second");
  REQUIRE(parsed);
  REQUIRE(parsed->find("address") != nullptr);
  CHECK(*parsed->find("address") == "a+b@example.com");
  REQUIRE(parsed->find("verbose") != nullptr);
  CHECK(parsed->find("verbose")->empty());
  CHECK(parsed->find("missing") == nullptr);
}

TEST_CASE("http target: what is broken is refused") {
  CHECK_FALSE(parse_target(""));
  CHECK_FALSE(parse_target("http://elsewhere/"));
  CHECK_FALSE(parse_target("/%"));
  CHECK_FALSE(parse_target("/%2"));
  CHECK_FALSE(parse_target("/?x=%zz"));
  std::string many = "/?";
  for (std::size_t i = 0; i < kParametersMax; ++i) many += "a=b&";
  CHECK(parse_target(many));
  CHECK_FALSE(parse_target(many + "a=b"));
}
