// Whatever a file of traffic profiles holds, reading it ends, every problem is one printable line,
// and what was read can be put together, asked and looked over by lint.
#include "mta/daemon/traffic_file.h"
#include "mta/traffic/lint.h"
#include "tests/fuzz/fuzz.h"

using namespace rockdove;
using namespace rockdove::daemon;

namespace {

void check_line(const std::string& line) {
  FUZZ_CHECK(line.find_first_of("\r\n\x1b") == std::string::npos);
  FUZZ_CHECK(line.find('\0') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(fuzz::as_text(data, size));
  Problems problems("file");
  const traffic::ProfileFile file = parse_profile_file(text, "file", problems);
  FUZZ_CHECK(file.providers.size() <= kProvidersMax);
  for (const Problem& problem : problems.take_sorted()) check_line(format_problem(problem));
  // Also twice, as an operator's file over itself.
  const traffic::Profiles profiles({file, file});
  for (const traffic::Finding& finding : traffic::lint(profiles)) {
    FUZZ_CHECK(finding.at.file == "file");
    check_line(finding.text);
  }
  const traffic::MxHost host{"mx1.example.net", 10};
  const traffic::Provider* const provider = profiles.provider_of("example.net", {&host, 1});
  const traffic::Knobs knobs = profiles.effective("example.net", provider, std::nullopt);
  for (const traffic::ShownKnob& knob : traffic::list_knobs(knobs)) {
    FUZZ_CHECK(!knob.value.empty());
    FUZZ_CHECK(knob.origin.line > 0);
  }
  if (const auto reply = traffic::parse_refusal(text)) {
    const std::string line = traffic::line_of(*reply);
    FUZZ_CHECK(line.find('\n') == std::string::npos);
    // What patterns see can be asked about again, where it is no longer than a line may be.
    if (line.size() < smtp::kReplyLineOctetsMax) FUZZ_CHECK(traffic::parse_refusal(line).is_ok());
    const traffic::Rule* const rule =
        profiles.match(*reply, smtp::Stage::Rcpt, "example.net", provider);
    if (rule != nullptr) FUZZ_CHECK(!traffic::describe(rule->actions).empty());
  }
  return 0;
}
