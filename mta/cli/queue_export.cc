#include "mta/cli/queue_export.h"

#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Error;
using base::Result;

namespace {

// Names are made durable after so many files.
constexpr std::uint64_t kBetweenSyncs = 1'000;

// One thing that did not go as asked: a line for people, or for programs.
void tell(const Output& output, const std::string& id, std::string_view outcome,
          std::string_view why) {
  if (output.show == Show::Json) {
    output.out << Json{{"id", id}, {"outcome", outcome}, {"error", why}}.dump(
                      -1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace)
               << '\n';
    return;
  }
  output.out.flush();
  output.error << "rockdove: " << id << ": " << why << '\n';
}

Result<std::vector<std::string>> find_ids(QueueSource& source,
                                          const std::vector<std::string>& given,
                                          const FilterOptions& filter) {
  std::vector<std::string> ids;
  if (!given.empty()) {
    for (const std::string& id : given) {
      const auto delivery = base::parse_delivery_id(id);
      ids.push_back(delivery ? base::format_id(delivery->message) : id);
    }
    return ids;
  }
  const Result<void> listed = source.list(filter.parameters(), [&ids](std::string_view line) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("queue_id")) ids.push_back(json.value("queue_id", ""));
  });
  if (!listed) return listed.error();
  return ids;
}

// nullopt: the message has left the queue.
Result<std::optional<std::string>> read_envelope(QueueSource& source, const std::string& id) {
  std::string line;
  const Result<void> read = source.envelope(id, [&line](std::string_view text) { line = text; });
  if (read) return std::optional<std::string>(std::move(line));
  bool is_there = false;
  const Result<void> listed = source.show(id, [&is_there](std::string_view text) {
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    is_there = !json.is_object() || !json.contains("message") || !json["message"].is_null();
  });
  if (listed && !is_there) return std::optional<std::string>();
  return read.error();
}

}  // namespace

Ended run_queue_export(QueueSource& source, const std::string& folder,
                       const std::vector<std::string>& ids, const FilterOptions& filter,
                       const Output& output) {
  if (!ids.empty() && !filter.parameters().empty()) {
    output.error << "rockdove: give either ids or a filter\n";
    return Ended::Usage;
  }
  const Result<std::vector<std::string>> found = find_ids(source, ids, filter);
  if (!found) return fail(output, found.error());
  Result<std::unique_ptr<MailFolderWriter>> writer = MailFolderWriter::open(folder);
  if (!writer) return fail(output, writer.error());
  MailFolderWriter& files = **writer;
  std::uint64_t exported = 0;
  std::uint64_t gone = 0;
  std::uint64_t failed = 0;
  for (const std::string& id : *found) {
    const Result<std::optional<std::string>> envelope = read_envelope(source, id);
    if (envelope && !envelope->has_value()) {
      ++gone;
      continue;
    }
    Result<void> put = envelope ? files.put(**envelope,
                                            [&source, &id](const OctetSink& sink) {
                                              return source.content({id}, sink);
                                            })
                                : Result<void>(envelope.error());
    if (put && ++exported % kBetweenSyncs == 0) put = files.sync();
    if (put) continue;
    ++failed;
    tell(output, id, "failed", put.error().text());
  }
  if (const Result<void> synced = files.sync(); !synced) return fail(output, synced.error());
  if (output.show == Show::Json) {
    output.out << Json{{"exported", exported}, {"gone", gone}, {"failed", failed}}.dump() << '\n';
  } else {
    std::string text = fmt::format("{} messages exported to {}", exported, folder);
    if (gone > 0) text += fmt::format(", {} left the queue meanwhile", gone);
    if (failed > 0) text += fmt::format(", {} failed", failed);
    output.out << text << '\n';
  }
  return failed == 0 ? Ended::Done : Ended::Failed;
}

namespace {

Result<Restored> import_one(RestoreTarget& target, MailFolderReader& files,
                            const MailFolderReader::Pair& pair, Contents contents) {
  if (!pair.has_envelope) return Error("its envelope " + pair.id + ".json is missing");
  if (!pair.has_content) return Error("its content " + pair.id + ".eml is missing");
  Result<admin::Envelope> envelope = files.read_envelope(pair.id);
  if (!envelope) return envelope.error();
  Result<std::unique_ptr<ContentSource>> content =
      contents == Contents::Edited ? files.open_edited(*envelope) : files.open_content(*envelope);
  if (!content) return content.error();
  return target.restore(*envelope, **content);
}

}  // namespace

Ended run_queue_import(RestoreTarget& target, const std::string& folder, Contents contents,
                       const Output& output) {
  Result<std::unique_ptr<MailFolderReader>> reader = MailFolderReader::open(folder);
  if (!reader) return fail(output, reader.error());
  const Result<MailFolderReader::Names> names = (*reader)->names();
  if (!names) return fail(output, names.error().in(folder));
  std::uint64_t imported = 0;
  std::uint64_t known = 0;
  std::uint64_t failed = 0;
  for (const MailFolderReader::Pair& pair : names->pairs) {
    const Result<Restored> restored = import_one(target, **reader, pair, contents);
    if (!restored) {
      ++failed;
      tell(output, pair.id, "failed", restored.error().text());
      continue;
    }
    ++(restored->outcome == Restored::Outcome::Known ? known : imported);
    if (restored->id == pair.id) continue;
    if (output.show == Show::Json) {
      output.out << Json{{"id", pair.id}, {"outcome", "renamed"}, {"new_id", restored->id}}.dump()
                 << '\n';
    } else {
      output.out << pair.id << " is " << restored->id
                 << " here, because another message has its id\n";
    }
  }
  if (output.show == Show::Json) {
    output.out << Json{{"imported", imported},
                       {"known", known},
                       {"failed", failed},
                       {"other_files", names->others}}
                      .dump()
               << '\n';
  } else {
    std::string text = fmt::format("{} messages imported", imported);
    if (known > 0) text += fmt::format(", {} known to the queue already", known);
    if (failed > 0) text += fmt::format(", {} failed", failed);
    if (names->others > 0) text += fmt::format(", {} other files left alone", names->others);
    output.out << text << '\n';
  }
  return failed == 0 ? Ended::Done : Ended::Failed;
}

}  // namespace rockdove::cli
