#include "mta/daemon/config_aliases.h"

#include <algorithm>
#include <deque>
#include <optional>

#include "mta/base/text.h"
#include "mta/mail/address.h"

namespace rockdove::daemon {
namespace {

constexpr std::size_t kTargetsMax = 1000;     // of one alias, chains followed
constexpr std::size_t kStepsMax = 1'000'000;  // of all chains together

struct Target {
  std::string text;  // an address, or a local name in lower case
  bool is_local = false;
};

struct Entry {
  Position at;
  std::vector<Target> targets;
};

struct Piece {
  std::string text;
  Position at;
};

// A logical line: the line and those behind it that begin with a blank.
struct LogicalLine {
  std::string text;
  std::vector<std::pair<std::size_t, unsigned>> starts;  // where in `text` which line begins

  [[nodiscard]] Position position(std::size_t offset) const {
    Position at;
    for (const auto& [start, line] : starts) {
      if (start > offset) break;
      at = Position{line, static_cast<unsigned>(offset - start) + 1};
    }
    return at;
  }
};

std::vector<LogicalLine> logical_lines(std::string_view text) {
  std::vector<LogicalLine> lines;
  unsigned number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::string_view content = base::trimmed(line);
    if (content.empty() || content.front() == '#') continue;
    const bool continues = line.front() == ' ' || line.front() == '\t';
    if (!continues || lines.empty()) lines.emplace_back();
    LogicalLine& current = lines.back();
    current.starts.emplace_back(current.text.size(), number);
    current.text.append(line).append(1, ' ');
  }
  return lines;
}

// A piece that is quoted as a whole, as "|program -x", loses its quotes; "c d"@x.example keeps
// them.
std::string without_quotes(std::string_view piece) {
  if (piece.size() < 2 || piece.front() != '"' || piece.find('"', 1) != piece.size() - 1) {
    return std::string(piece);
  }
  return std::string(piece.substr(1, piece.size() - 2));
}

// Up to `stop` outside of quotes.
Piece take_piece(const LogicalLine& line, std::size_t& offset, char stop) {
  const std::string& text = line.text;
  while (offset < text.size() && (text[offset] == ' ' || text[offset] == '\t')) ++offset;
  const std::size_t start = offset;
  bool quoted = false;
  for (; offset < text.size() && (quoted || text[offset] != stop); ++offset) {
    if (text[offset] == '"') quoted = !quoted;
    if (text[offset] == '\\' && quoted && offset + 1 < text.size()) ++offset;
  }
  const std::string_view piece =
      base::trimmed(std::string_view(text).substr(start, offset - start));
  return Piece{without_quotes(piece), line.position(start)};
}

class Parser {
 public:
  Parser(const AliasesContext& context, Problems& problems)
      : context_(context), problems_(problems) {}

  void read(const LogicalLine& line);
  Aliases resolve();

 private:
  std::optional<std::string> local_name(const Piece& piece);
  std::optional<Target> target(const Piece& piece);
  void follow(const std::string& alias, const Entry& entry, Aliases& aliases);
  void report_loop(const std::string& alias, const std::map<std::string, std::string>& came_from,
                   const std::string& last);

  void refuse(Position at, std::string text) {
    switch (context_.refused) {
      case Severity::Error:
        return problems_.error(at, std::move(text));
      case Severity::Warning:
        return problems_.warning(at, std::move(text));
    }
  }

  const AliasesContext& context_;
  Problems& problems_;
  std::map<std::string, Entry> entries_;
  std::unordered_set<std::string> in_reported_loop_;
  std::size_t steps_ = 0;
};

void Parser::read(const LogicalLine& line) {
  std::size_t offset = 0;
  const Piece name = take_piece(line, offset, ':');
  if (offset >= line.text.size())
    return refuse(name.at, "a line is `name: address, address`; the colon is missing");
  const std::optional<std::string> alias = local_name(name);
  if (!alias) return;
  ++offset;
  Entry entry{name.at, {}};
  while (offset < line.text.size()) {
    const Piece piece = take_piece(line, offset, ',');
    ++offset;
    if (piece.text.empty()) continue;
    if (std::optional<Target> found = target(piece)) entry.targets.push_back(std::move(*found));
    if (entry.targets.size() > kTargetsMax)
      return refuse(name.at, "an alias has at most 1,000 addresses");
  }
  if (const auto before = entries_.find(*alias); before != entries_.end()) {
    return refuse(name.at, "`" + base::printable(*alias) + "` stands already in line " +
                               std::to_string(before->second.at.line));
  }
  entries_.emplace(*alias, std::move(entry));
}

// "`|/bin/program` is left out: …".
std::string left_out(const Piece& piece, std::string_view why) {
  return "`" + base::printable(piece.text, 80) + "` is left out: " + std::string(why);
}

// The alias that a name, or an address of ours, means.
std::optional<std::string> Parser::local_name(const Piece& piece) {
  const base::Result<mail::Address> address = mail::parse_mailbox_or_local_part(piece.text);
  if (!address) {
    refuse(piece.at, "`" + base::printable(piece.text, 80) +
                         "` is no name of an alias: " + address.error().text());
    return std::nullopt;
  }
  if (!address->domain.empty() && !context_.domains.contains(address->domain)) {
    refuse(piece.at, "`" + base::printable(piece.text, 80) + "`: " + address->domain +
                         " is not in `local.domains`");
    return std::nullopt;
  }
  return base::lower_case(address->local);
}

std::optional<Target> Parser::target(const Piece& piece) {
  std::string text = piece.text;
  if (text.starts_with('|')) {
    refuse(piece.at, left_out(piece, "mail is never given to a program; give it an address"));
    return std::nullopt;
  }
  if (text.starts_with('/')) {
    refuse(piece.at, left_out(piece,
                              "mail is never written to a file; a route with "
                              "`to = \"maildir:/path\"` can do that"));
    return std::nullopt;
  }
  if (base::starts_with_ignoring_case(text, ":include:")) {
    refuse(piece.at, left_out(piece,
                              "lists are not read from other files; write the addresses "
                              "here"));
    return std::nullopt;
  }
  if (text.starts_with('\\')) text.erase(0, 1);  // "do not expand further", where mailboxes exist
  const base::Result<mail::Address> address = mail::parse_mailbox_or_local_part(text);
  if (!address) {
    refuse(piece.at, "`" + base::printable(text, 80) + "`: " + address.error().text());
    return std::nullopt;
  }
  if (address->domain.empty() || context_.domains.contains(address->domain)) {
    return Target{base::lower_case(address->local), true};
  }
  return Target{mail::format_address(*address), false};
}

Aliases Parser::resolve() {
  Aliases aliases;
  for (const auto& [alias, entry] : entries_) follow(alias, entry, aliases);
  return aliases;
}

void Parser::follow(const std::string& alias, const Entry& entry, Aliases& aliases) {
  std::vector<std::string> addresses;
  std::unordered_set<std::string> known;
  std::map<std::string, std::string> came_from = {
      {alias, ""}};  // aliases on the way: also those done
  std::deque<std::pair<std::string, const Entry*>> open = {{alias, &entry}};
  const auto add = [&](const std::string& address) {
    if (known.insert(address).second) addresses.push_back(address);
  };
  while (!open.empty()) {
    const auto [name, current] = open.front();
    open.pop_front();
    for (const Target& next : current->targets) {
      if (++steps_ > kStepsMax) {
        if (steps_ == kStepsMax + 1) refuse(entry.at, "the aliases name each other too often");
        return;
      }
      if (!next.is_local) {
        add(next.text);
      } else if (next.text == alias) {
        return report_loop(alias, came_from, name);
      } else if (const auto found = entries_.find(next.text); found != entries_.end()) {
        if (came_from.emplace(next.text, name).second) open.emplace_back(next.text, &found->second);
      } else if (next.text == "postmaster" && !context_.postmaster.empty()) {
        add(context_.postmaster);
      } else {
        if (name == alias) {
          problems_.warning(
              current->at,
              "mail for `" + base::printable(alias, 80) + "` goes to `" +
                  base::printable(next.text, 80) +
                  "`, which is no alias, and there are no mailboxes here: it bounces unless a "
                  "route takes " +
                  base::printable(next.text, 80) + "@" + context_.hostname + "; or add `" +
                  base::printable(next.text, 80) + ": you@example.com`");
        }
        add(next.text + "@" + context_.hostname);
      }
    }
  }
  if (addresses.size() > kTargetsMax)
    return refuse(entry.at,
                  "an alias has at most 1,000 addresses, with those of the aliases it names");
  if (!addresses.empty()) aliases.emplace(alias, std::move(addresses));
}

void Parser::report_loop(const std::string& alias,
                         const std::map<std::string, std::string>& came_from,
                         const std::string& last) {
  std::vector<std::string> way = {alias};
  for (std::string name = last; !name.empty(); name = came_from.at(name)) way.push_back(name);
  std::reverse(way.begin(), way.end());
  if (in_reported_loop_.contains(alias)) return;
  std::string text = "aliases in a loop: ";
  for (std::size_t i = 0; i < way.size(); ++i) {
    in_reported_loop_.insert(way[i]);
    if (i > 0) text += " → ";
    text += base::printable(way[i], 80);
  }
  refuse(entries_.at(alias).at, text);
}

}  // namespace

Aliases parse_aliases(std::string_view text, const AliasesContext& context, Problems& problems) {
  Parser parser(context, problems);
  for (const LogicalLine& line : logical_lines(text)) parser.read(line);
  return parser.resolve();
}

}  // namespace rockdove::daemon
