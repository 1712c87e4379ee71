#include "mta/cli/queue_export.h"

#include <cstdint>
#include <optional>
#include <unordered_set>
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

// Each once: by their destinations messages are listed by their rows, of which one may have many.
Result<std::vector<std::string>> find_ids(QueueSource& source,
                                          const std::vector<std::string>& given,
                                          const FilterOptions& filter) {
  std::vector<std::string> ids;
  std::unordered_set<std::string> seen;
  const auto add = [&](std::string id) {
    if (seen.insert(id).second) ids.push_back(std::move(id));
  };
  if (!given.empty()) {
    for (const std::string& id : given) {
      const auto delivery = base::parse_delivery_id(id);
      add(delivery ? base::format_id(delivery->message) : id);
    }
    return ids;
  }
  const Result<void> listed = source.list(filter.parameters(), [&add](std::string_view line) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("queue_id")) add(json.value("queue_id", ""));
  });
  if (!listed) return listed.error();
  return ids;
}

bool has_left(QueueSource& source, const std::string& id) {
  bool is_there = true;
  const Result<void> shown = source.show(id, [&is_there](std::string_view text) {
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    is_there = !json.is_object() || !json.contains("message") || !json["message"].is_null();
  });
  return shown && !is_there;
}

Result<void> export_one(QueueSource& source, MailFolderWriter& files, const std::string& id) {
  std::string envelope;
  const Result<void> read =
      source.envelope(id, [&envelope](std::string_view text) { envelope = text; });
  if (!read) return read;
  return files.put(envelope,
                   [&source, &id](const OctetSink& sink) { return source.content({id}, sink); });
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
    Result<void> put = export_one(source, files, id);
    if (put && ++exported % kBetweenSyncs == 0) put = files.sync();
    if (put) continue;
    if (has_left(source, id)) {
      ++gone;
      continue;
    }
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
                            const MailFolderReader::Pair& pair, Contents contents,
                            queue::OfDeleted deleted) {
  if (!pair.has_envelope) return Error("its envelope " + pair.id + ".json is missing");
  if (!pair.has_content) return Error("its content " + pair.id + ".eml is missing");
  Result<admin::Envelope> envelope = files.read_envelope(pair.id);
  if (!envelope) return envelope.error();
  Result<std::unique_ptr<ContentSource>> content =
      contents == Contents::Edited ? files.open_edited(*envelope) : files.open_content(*envelope);
  if (!content) return content.error();
  return target.restore(*envelope, **content, deleted);
}

// What came of the messages of a folder.
struct Tally {
  std::uint64_t imported = 0;
  std::uint64_t known = 0;
  std::uint64_t deleted = 0;
  std::uint64_t failed = 0;
  std::uint64_t others = 0;  // files of other names

  void print(const Output& output) const {
    if (output.show == Show::Json) {
      output.out << Json{{"imported", imported},
                         {"known", known},
                         {"deleted", deleted},
                         {"failed", failed},
                         {"other_files", others}}
                        .dump()
                 << '\n';
      return;
    }
    std::string text = fmt::format("{} messages imported", imported);
    if (known > 0) text += fmt::format(", {} known to the queue already", known);
    if (deleted > 0) text += fmt::format(", {} were deleted here", deleted);
    if (failed > 0) text += fmt::format(", {} failed", failed);
    if (others > 0) text += fmt::format(", {} other files left alone", others);
    output.out << text << '\n';
  }
};

void tell_new_id(const Output& output, const std::string& id, const std::string& new_id) {
  if (output.show == Show::Json) {
    output.out << Json{{"id", id}, {"outcome", "renamed"}, {"new_id", new_id}}.dump() << '\n';
  } else {
    output.out << id << " is " << new_id << " here, because its own id may be another message's\n";
  }
}

}  // namespace

Ended run_queue_import(RestoreTarget& target, const std::string& folder, Contents contents,
                       queue::OfDeleted deleted, const Output& output) {
  Result<std::unique_ptr<MailFolderReader>> reader = MailFolderReader::open(folder);
  if (!reader) return fail(output, reader.error());
  const Result<MailFolderReader::Names> names = (*reader)->names();
  if (!names) return fail(output, names.error().in(folder));
  Tally tally;
  tally.others = names->others;
  for (const MailFolderReader::Pair& pair : names->pairs) {
    const Result<Restored> restored = import_one(target, **reader, pair, contents, deleted);
    if (!restored) {
      ++tally.failed;
      tell(output, pair.id, "failed", restored.error().text());
      continue;
    }
    switch (restored->outcome) {
      case Restored::Outcome::Taken:
        ++tally.imported;
        break;
      case Restored::Outcome::Known:
        ++tally.known;
        break;
      case Restored::Outcome::Deleted:
        ++tally.deleted;
        tell(output, pair.id, "deleted",
             "it was deleted here: `rockdove queue undelete` brings it back for a day, --deleted "
             "takes it in anew");
        continue;
    }
    if (restored->id != pair.id) tell_new_id(output, pair.id, restored->id);
  }
  tally.print(output);
  return tally.failed + tally.deleted == 0 ? Ended::Done : Ended::Failed;
}

}  // namespace rockdove::cli
