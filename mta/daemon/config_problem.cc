#include "mta/daemon/config_problem.h"

#include <algorithm>

namespace rockdove::daemon {
namespace {

constexpr std::size_t kWordOctetsMax = 64;

// Insertions, deletions, replacements and swaps of neighbours that make `a` of `b`.
std::size_t typing_errors(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

std::string format_problem(const Problem& problem) {
  std::string text = problem.file;
  if (problem.at.line > 0) {
    text.append(":").append(std::to_string(problem.at.line));
    text.append(":").append(std::to_string(problem.at.column));
  }
  switch (problem.severity) {
    case Severity::Error:
      text.append(": error: ");
      break;
    case Severity::Warning:
      text.append(": warning: ");
      break;
  }
  return text.append(problem.text);
}

void Problems::error(Position at, std::string text) {
  add(Problem{Severity::Error, file_, at, std::move(text)});
}

void Problems::warning(Position at, std::string text) {
  add(Problem{Severity::Warning, file_, at, std::move(text)});
}

void Problems::add(const Problems& others) {
  for (const Problem& problem : others.problems_) add(problem);
  left_out_ += others.left_out_;
}

void Problems::add(Problem problem) {
  if (problem.severity == Severity::Error) ++errors_;
  if (problems_.size() < kProblemsMax) {
    problems_.push_back(std::move(problem));
  } else {
    ++left_out_;
  }
}

std::vector<Problem> Problems::take_sorted() {
  std::stable_sort(problems_.begin(), problems_.end(), [this](const Problem& a, const Problem& b) {
    const bool a_is_ours = a.file == file_;
    const bool b_is_ours = b.file == file_;
    if (a_is_ours != b_is_ours) return a_is_ours;
    if (a.file != b.file) return a.file < b.file;
    return a.at.line != b.at.line ? a.at.line < b.at.line : a.at.column < b.at.column;
  });
  if (left_out_ > 0) {
    problems_.push_back(Problem{errors_ > 0 ? Severity::Error : Severity::Warning, file_,
                                Position{}, "and " + std::to_string(left_out_) + " more problems"});
  }
  return std::move(problems_);
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates) {
  constexpr std::size_t kErrorsMax = 2;
  if (word.size() > kWordOctetsMax) return "";
  std::string_view best;
  // Of a short word two wrong letters leave nothing: "on" is not "off".
  std::size_t fewest = std::min(kErrorsMax, word.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const std::size_t errors = typing_errors(word, candidate);
    if (errors < fewest) {
      fewest = errors;
      best = candidate;
    }
  }
  return best.empty() ? "" : ", did you mean `" + std::string(best) + "`?";
}

}  // namespace rockdove::daemon
