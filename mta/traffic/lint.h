// What is wrong with traffic profiles though they can be read: rules that never fire, providers
// that nobody reaches, rates that contradict each other. Pure: `rockdove traffic lint` prints it,
// and our own profiles must pass.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/traffic/profiles.h"

namespace rockdove::traffic {

enum class Fault : std::uint8_t {
  UnknownProvider,  // a section that no file gives hosts or domains to
  Unreachable,      // no host that fits leads to the provider
  Shadowed,         // another pattern always decides first
  BadPattern,       // no pattern of names: a regular expression, an impossible character
  EndsInDot,        // a pattern, where a name has no final dot and a "." fits any character
  EscapedTwice,     // "\\." in a pattern of replies
  NoSample,         // a rule without samples
  BadSample,        // a sample that is no refusal, or comes at no stage of the rule
  DoesNotFire,      // a rule on its own sample
  OtherFires,       // another rule, before this one
  RatesContradict,  // limits of which one can never be reached
  UselessUnset,     // nothing was set
};

// "unknown-provider", "unreachable", …, for --json.
[[nodiscard]] std::string_view name_of(Fault fault);

struct Finding {
  Origin at;
  Fault fault = Fault::Unreachable;
  std::string text;  // a sentence that says what to do, without a final full stop
};

// In the order of files and lines.
[[nodiscard]] std::vector<Finding> lint(const Profiles& profiles);

}  // namespace rockdove::traffic
