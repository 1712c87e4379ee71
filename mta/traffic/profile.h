// One file of traffic profiles, as it was written. Files are read by daemon/traffic_file.h and put
// together by traffic/profiles.h.
#pragma once

#include <string>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/traffic/knobs.h"
#include "mta/traffic/rule.h"

namespace rockdove::traffic {

// [default], and what all sections have.
struct Section {
  Origin origin;  // line 0: the file has no such section
  Knobs knobs;
  std::vector<Rule> rules;  // [[….on]], in the order of the file
  std::vector<PlacedText>
      unset;  // names of knobs, "mx", "domains", "samples", or "on" for all rules
};

// [provider.NAME]. In patterns "*" stands for any run of characters; they are in lower case.
struct ProviderSection : Section {
  std::string name;
  Knob<std::vector<PlacedText>> mx;       // patterns of MX hosts
  Knob<std::vector<PlacedText>> domains;  // patterns of recipients' domains
  Knob<std::vector<PlacedText>> samples;  // MX hosts that must lead to it, for lint
};

// [domain."example.com"] or [domain."*.example.com"].
struct DomainSection : Section {
  std::string pattern;
};

// [source."192.0.2.1"].
struct SourceSection : Section {
  base::IpAddress address;
};

struct ProfileFile {
  std::string path;
  Section defaults;
  std::vector<ProviderSection> providers;
  std::vector<DomainSection> domains;
  std::vector<SourceSection> sources;
};

}  // namespace rockdove::traffic
