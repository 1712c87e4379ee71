// probe AREA [--root FOLDER] [--now UNIX] [--psl FILE]: see area.h. Exit status 0 when every line
// was answered, be it with an error; 2 for an unknown area or option.
#include <charconv>
#include <cstdint>
#include <exception>
#include <iostream>

#include "tests/probe/area.h"

namespace {

using nlohmann::json;
using rockdove::probe::Area;
using rockdove::probe::Options;

int print_usage() {
  std::cerr << "usage: probe AREA [--root FOLDER] [--now UNIX] [--psl FILE] < CASES\nareas:";
  for (const Area& area : rockdove::probe::areas()) std::cerr << ' ' << area.name;
  std::cerr << '\n';
  return 2;
}

const Area* find_area(std::string_view name) {
  for (const Area& area : rockdove::probe::areas()) {
    if (area.name == name) return &area;
  }
  return nullptr;
}

bool set_option(Options& options, std::string_view name, std::string_view value) {
  if (name == "--root") {
    options.root = value;
  } else if (name == "--psl") {
    options.psl = value;
  } else if (name == "--now") {
    std::int64_t now = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), now);
    if (error != std::errc() || end != value.data() + value.size()) return false;
    options.now = now;
  } else {
    return false;
  }
  return true;
}

json answer(const Area& area, const std::string& line, json id, const Options& options) {
  json result = json::object();
  try {
    const bool is_text = area.form == rockdove::probe::CaseForm::Text;
    const json test_case = is_text ? json(line) : json::parse(line);
    if (test_case.contains("id")) id = test_case.at("id");
    result = area.answer(test_case, options);
  } catch (const std::exception& problem) {
    result = {{"error", problem.what()}};
  }
  result["id"] = std::move(id);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const Area* area = argc > 1 ? find_area(argv[1]) : nullptr;
  Options options;
  if (area == nullptr || argc % 2 != 0) return print_usage();
  for (int i = 2; i + 1 < argc; i += 2) {
    if (!set_option(options, argv[i], argv[i + 1])) return print_usage();
  }
  std::string line;
  for (std::uint64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.empty()) continue;
    if (area->form == rockdove::probe::CaseForm::Text && line.starts_with("//")) continue;
    const json result = answer(*area, line, number, options);
    std::cout << result.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
  }
  return std::cout.flush() ? 0 : 1;
}
