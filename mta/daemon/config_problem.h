// What is wrong, or doubtful, in an operator's file: where, and what to do about it. All problems
// of a file are gathered and shown together, in the form that editors and compilers share:
//   /etc/rockdove/rockdove.toml:3:1: error: unknown key `relay_form`, did you mean `relay_from`?
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rockdove::daemon {

enum class Severity : std::uint8_t { Error, Warning };

// From 1, columns in characters; line 0: the file as a whole.
struct Position {
  unsigned line = 0;
  unsigned column = 0;
};

struct Problem {
  Severity severity = Severity::Error;
  std::string file;
  Position at;
  std::string text;  // one line, without a final full stop
};

[[nodiscard]] std::string format_problem(const Problem& problem);

// The problems of one file. No more than kProblemsMax are kept; the rest is counted.
inline constexpr std::size_t kProblemsMax = 100;

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}

  void error(Position at, std::string text);
  void warning(Position at, std::string text);
  // Problems of another file that this one names.
  void add(const Problems& others);
  void add(Problem problem);

  [[nodiscard]] bool has_errors() const { return errors_ > 0; }

  // In the order of the file; a last entry tells how many were left out.
  [[nodiscard]] std::vector<Problem> take_sorted();

 private:
  std::string file_;
  std::vector<Problem> problems_;
  std::size_t errors_ = 0;
  std::size_t left_out_ = 0;
};

// ", did you mean `x`?" for the candidate that is at most two typing errors away; else "".
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       const std::vector<std::string_view>& candidates);

}  // namespace rockdove::daemon
