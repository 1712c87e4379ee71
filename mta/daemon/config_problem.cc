#include "mta/daemon/config_problem.h"

#include <algorithm>

#include "mta/base/spelling.h"

namespace rockdove::daemon {

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
  return base::did_you_mean(word, candidates);
}

}  // namespace rockdove::daemon
