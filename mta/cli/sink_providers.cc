#include "mta/cli/sink_providers.h"

#include <cstdio>
#include <optional>

#include <nlohmann/json.hpp>

#include "mta/cli/sink_provider_file.h"
#include "mta/daemon/config_document.h"
#include "mta/daemon/read_file.h"

namespace rockdove::cli {
namespace {

using Json = nlohmann::ordered_json;

void print(const std::string& name, const SinkProviderCounts& counts, Json rest, bool json) {
  Json line = {{"provider", name},
               {"connections", counts.connections},
               {"accepted", counts.accepted},
               {"deferred", counts.deferred},
               {"rejected", counts.rejected}};
  line.update(rest);
  if (json) {
    std::puts(line.dump().c_str());
    return;
  }
  std::string text;
  for (const auto& [key, value] : line.items()) {
    const std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
    text += (text.empty()           ? ""
             : key == "connections" ? ": "
                                    : ", ") +
            (key == "provider" ? shown : key + " " + shown);
  }
  std::puts(text.c_str());
}

}  // namespace

base::Result<void> SinkProviders::load(const std::string& path) {
  const base::Result<std::optional<std::string>> text =
      daemon::read_file(path, daemon::kConfigurationOctetsMax);
  if (!text) return text.error();
  if (!text->has_value()) return base::Error("there is no file " + path);
  daemon::Problems problems(path);
  std::vector<SinkProviderSettings> all = parse_sink_providers(**text, problems);
  if (problems.has_errors()) {
    std::string lines = "the providers cannot be read";
    for (const daemon::Problem& problem : problems.take_sorted())
      lines += "\n" + daemon::format_problem(problem);
    return base::Error(lines);
  }
  for (SinkProviderSettings& settings : all)
    providers_.push_back(std::make_unique<SinkProvider>(std::move(settings), log_));
  reported_.resize(providers_.size());
  return {};
}

void SinkProviders::report(base::Instant now, bool json) {
  for (std::size_t i = 0; i < providers_.size(); ++i) {
    const SinkProvider& provider = *providers_[i];
    const SinkProviderCounts fresh = provider.counts() - reported_[i];
    const bool is_idle = fresh.accepted + fresh.deferred + fresh.rejected + fresh.connections == 0;
    if (is_idle && provider.connections_open() == 0) continue;
    reported_[i] = provider.counts();
    print(provider.settings().name, fresh,
          {{"open", provider.connections_open()},
           {"limit", format_sink_rates(provider.limits(now))},
           {"time", static_cast<double>(log_.time(now).count()) / 1000}},
          json);
  }
  std::fflush(stdout);
  log_.flush();
}

void SinkProviders::report_totals(bool json) const {
  for (const std::unique_ptr<SinkProvider>& provider : providers_) {
    print(provider->settings().name, provider->counts(), {{"total", true}}, json);
  }
}

}  // namespace rockdove::cli
