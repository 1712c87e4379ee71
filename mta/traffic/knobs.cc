#include "mta/traffic/knobs.h"

#include <span>

#include "mta/base/quantity.h"

namespace rockdove::traffic {
namespace {

std::string text_of(std::uint32_t number) {
  return std::to_string(number);
}

std::string text_of(const std::vector<Rate>& rates) {
  return format_rates(rates);
}

std::string text_of(const OctetRate& rate) {
  return format_octet_rate(rate);
}

std::string text_of(TlsWish wish) {
  return std::string(name_of(wish));
}

std::string text_of(IpFamily family) {
  return std::string(name_of(family));
}

std::string text_of(base::Duration duration) {
  return base::format_duration(duration);
}

std::string text_of(const std::vector<base::Duration>& durations) {
  std::string text;
  for (const base::Duration duration : durations) {
    text += (text.empty() ? "" : ", ") + base::format_duration(duration);
  }
  return text;
}

}  // namespace

std::string format_origin(const Origin& origin) {
  if (origin.line == 0) return origin.file;
  return origin.file + ":" + std::to_string(origin.line);
}

base::Result<OctetRate> parse_octet_rate(std::string_view text) {
  const base::Error wrong("no size a time, as in \"100M/min\"");
  const std::size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return wrong;
  const base::Result<std::uint64_t> octets = base::parse_size(text.substr(0, slash));
  // The unit is a rate's, and is read where rates are.
  const base::Result<Rate> unit = parse_rate("1" + std::string(text.substr(slash)));
  if (!octets || !unit || *octets == 0) return wrong;
  if (*octets < kOctetsUnit || *octets > kOctetsUnit * kCostMax)
    return base::Error("out of range: between 1K and 1000G a time");
  return OctetRate{*octets, unit->per};
}

std::string format_octet_rate(const OctetRate& rate) {
  const std::string unit = format_rate(Rate{1, rate.per, 1});
  return base::format_size(rate.octets) + unit.substr(unit.find('/'));
}

std::string_view name_of(TlsWish wish) {
  switch (wish) {
    case TlsWish::Off:
      return "off";
    case TlsWish::May:
      return "may";
    case TlsWish::Require:
      return "require";
    case TlsWish::Verify:
      return "verify";
  }
  return "";
}

std::string_view name_of(IpFamily family) {
  switch (family) {
    case IpFamily::Any:
      return "any";
    case IpFamily::V4:
      return "v4";
    case IpFamily::V6:
      return "v6";
  }
  return "";
}

std::vector<std::string_view> knob_names() {
  std::vector<std::string_view> names;
  for_each_knob([&](std::string_view name, auto) { names.push_back(name); });
  return names;
}

void lay_over(Knobs& below, const Knobs& above) {
  for_each_knob([&](std::string_view, auto member) {
    if ((above.*member).value) below.*member = above.*member;
  });
}

bool unset_knob(Knobs& knobs, std::string_view name) {
  bool was_set = false;
  for_each_knob([&](std::string_view each, auto member) {
    if (each != name) return;
    was_set = (knobs.*member).value.has_value();
    (knobs.*member).value.reset();
  });
  return was_set;
}

std::vector<ShownKnob> list_knobs(const Knobs& knobs) {
  std::vector<ShownKnob> shown;
  for_each_knob([&](std::string_view name, auto member) {
    const auto& knob = knobs.*member;
    if (knob.value) shown.push_back({name, text_of(*knob.value), knob.origin});
  });
  return shown;
}

}  // namespace rockdove::traffic
