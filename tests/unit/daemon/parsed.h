// A configuration from a text, for tests: files are a map, so nothing depends on the machine. The
// file "/open" may be read by everybody, "/secret" not by the daemon's user, "/unreadable" by
// nobody.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/daemon/configuration.h"

namespace rockdove::daemon {

struct Parsed {
  std::optional<Configuration> configuration;
  std::vector<std::string> problems;
};

// The name of the file is "c" in problems.
inline Parsed parse(const std::string& text, const std::map<std::string, std::string>& files = {},
                    const std::string& machine = "relay.example.net") {
  Surroundings surroundings{
      "c", machine,
      [&files](const std::string& path,
               std::size_t octets_max) -> base::Result<std::optional<std::string>> {
        if (path == "/unreadable") return base::Error("opening /unreadable: Permission denied");
        const auto found = files.find(path);
        if (found == files.end()) return std::optional<std::string>();
        if (found->second.size() > octets_max) return base::Error("too large");
        return std::optional<std::string>(found->second);
      }};
  surroundings.others_may_read = [](const std::string& path) { return path == "/open"; };
  surroundings.check_readable = [](const std::string& user,
                                   const std::string& path) -> base::Result<void> {
    if (path != "/secret") return {};
    return base::Error("the user " + user + ", who the daemon becomes, cannot read " + path);
  };
  ParsedConfiguration parsed = parse_configuration(text, std::move(surroundings));
  Parsed result{std::move(parsed.configuration), {}};
  for (const Problem& problem : parsed.problems) result.problems.push_back(format_problem(problem));
  return result;
}

inline const std::string kPostmaster = "postmaster = \"admin@example.com\"\n";

// The problems of a text that is complete but for what is tested.
inline std::vector<std::string> problems_of(const std::string& text,
                                            const std::map<std::string, std::string>& files = {}) {
  return parse(kPostmaster + text, files).problems;
}

inline Configuration accepted(const std::string& text,
                              const std::map<std::string, std::string>& files = {}) {
  Parsed parsed = parse(kPostmaster + text, files);
  CHECK(parsed.problems == std::vector<std::string>{});
  REQUIRE(parsed.configuration.has_value());
  return *std::move(parsed.configuration);
}

using Lines = std::vector<std::string>;

}  // namespace rockdove::daemon
