#include "mta/cli/queue_salvage.h"

#include <filesystem>
#include <optional>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mta/admin/envelope_text.h"
#include "mta/base/text.h"
#include "mta/cli/mail_folder.h"
#include "mta/daemon/lock.h"
#include "queue/salvage.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Error;
using base::Result;

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBetweenSyncs = 1'000;
constexpr std::size_t kRecipientsNamed = 20;

// The database's directory below a state directory, or itself.
fs::path database_of(const std::string& source) {
  std::error_code error;
  const fs::path below = fs::path(source) / "queue";
  return fs::is_directory(below, error) ? below : fs::path(source);
}

bool is_within(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(path, error);
  const fs::path outer = fs::weakly_canonical(folder, error);
  for (fs::path one = whole; !one.empty(); one = one.parent_path()) {
    if (one == outer) return true;
    if (one == one.parent_path()) break;
  }
  return false;
}

Result<void> check_place(const fs::path& database, const std::string& folder) {
  if (is_within(folder, database)) {
    return Error(folder + " is within the damaged queue, where nothing is written");
  }
  std::error_code error;
  const fs::path state_dir = fs::weakly_canonical(database, error).parent_path();
  if (!fs::exists(state_dir / "lock", error)) return {};
  const auto found = daemon::find_daemon(state_dir.string());
  if (const auto* holder = found ? std::get_if<daemon::DaemonHolds>(&*found) : nullptr) {
    return Error("rockdove (process " + std::to_string(holder->process) +
                 ") has this queue open: stop it, or use `rockdove queue export`");
  }
  return {};
}

std::string hurt_line(const queue::HurtMessage& hurt) {
  std::string line = base::format_id(hurt.id) + " from <" + base::printable(hurt.sender) + "> to ";
  for (std::size_t i = 0; i < hurt.recipients.size() && i < kRecipientsNamed; ++i) {
    line += (i == 0 ? "<" : ", <") + base::printable(hurt.recipients[i]) + ">";
  }
  if (hurt.recipients.empty()) line += "somebody";
  if (hurt.recipients.size() > kRecipientsNamed) {
    line += fmt::format(" and {} more", hurt.recipients.size() - kRecipientsNamed);
  }
  return line + ": " + (hurt.is_out ? "is there, but " : "") + hurt.why;
}

Json hurt_json(const queue::HurtMessage& hurt) {
  Json recipients = Json::array();
  for (const std::string& recipient : hurt.recipients) {
    recipients.push_back(base::printable(recipient));
  }
  return Json{{"id", base::format_id(hurt.id)},
              {"outcome", hurt.is_out ? "partly" : "hurt"},
              {"sender", base::printable(hurt.sender)},
              {"recipients", recipients},
              {"error", hurt.why}};
}

std::string damage_line(const queue::DamagedPlace& place) {
  return fmt::format("{} at {}, {} octets: {}", place.file, place.hole.offset, place.hole.octets,
                     place.hole.why);
}

std::string report_of(const queue::Salvage& salvage, const fs::path& database,
                      const Output& output) {
  std::string text =
      fmt::format("Salvaged from {} at {}\n{} files read, {} messages brought out, {} hurt\n",
                  database.string(), base::format_timestamp(output.now), salvage.files(),
                  salvage.brought_out(), salvage.hurt().size());
  text += "\nMessages that are not here, or not for all of their recipients\n";
  for (const queue::HurtMessage& hurt : salvage.hurt()) text += "  " + hurt_line(hurt) + "\n";
  if (salvage.hurt().empty()) text += "  none\n";
  text +=
      "\nPlaces that could not be read (not each of them has cost a message: much stands twice, "
      "and "
      "much was of mail that has ended)\n";
  for (const queue::DamagedPlace& place : salvage.damage()) {
    text += "  " + damage_line(place) + "\n";
  }
  if (salvage.damage().empty()) text += "  none\n";
  text +=
      "\nWhere a log is damaged, what happened to mail just then may be missing: such a message "
      "may "
      "have been\ndelivered already, and comes a second time once it is imported.\n";
  return text;
}

void print(const queue::Salvage& salvage, const std::string& folder, const Output& output) {
  if (output.show == Show::Json) {
    for (const queue::HurtMessage& hurt : salvage.hurt()) output.out << hurt_json(hurt) << '\n';
    for (const queue::DamagedPlace& place : salvage.damage()) {
      output.out << Json{{"file", place.file},
                         {"offset", place.hole.offset},
                         {"octets", place.hole.octets},
                         {"error", place.hole.why}}
                 << '\n';
    }
    output.out << Json{{"salvaged", salvage.brought_out()},
                       {"hurt", salvage.hurt().size()},
                       {"damaged_places", salvage.damage().size()}}
               << '\n';
    return;
  }
  for (const queue::HurtMessage& hurt : salvage.hurt()) output.error << hurt_line(hurt) << '\n';
  output.out << fmt::format("{} messages salvaged to {}, {} hurt, {} damaged places; see {}/{}\n",
                            salvage.brought_out(), folder, salvage.hurt().size(),
                            salvage.damage().size(), folder, kSalvageReport);
}

}  // namespace

Ended run_queue_salvage(const std::string& source, const std::string& folder,
                        const Output& output) {
  const fs::path database = database_of(source);
  if (const Result<void> checked = check_place(database, folder); !checked) {
    return fail(output, checked.error());
  }
  Result<std::unique_ptr<queue::Salvage>> opened = queue::Salvage::open(database.string());
  if (!opened) return fail(output, opened.error());
  queue::Salvage& salvage = **opened;
  Result<std::unique_ptr<MailFolderWriter>> writer = MailFolderWriter::open(folder);
  if (!writer) return fail(output, writer.error());
  MailFolderWriter& files = **writer;
  salvage.read();
  std::uint64_t put = 0;
  std::optional<Error> unsynced;
  salvage.bring_out([&](const queue::StoredMessage& stored, const auto& read_chunk) {
    const auto content = [&](const OctetSink& sink) -> Result<void> {
      sink(stored.message.header_block);
      for (std::uint32_t chunk = 0; chunk < stored.message.body_chunks; ++chunk) {
        const Result<std::string> octets = read_chunk(chunk);
        if (!octets) return octets.error();
        sink(*octets);
      }
      return {};
    };
    Result<void> done =
        files.put(admin::format_envelope({stored, ""}, admin::Layout::Line), content);
    if (done && ++put % kBetweenSyncs == 0) {
      if (const Result<void> synced = files.sync(); !synced) unsynced = synced.error();
    }
    return done;
  });
  const Result<void> told =
      files.put_text(std::string(kSalvageReport), report_of(salvage, database, output));
  if (const Result<void> synced = files.sync(); !synced) unsynced = synced.error();
  print(salvage, folder, output);
  if (!told) return fail(output, told.error());
  if (unsynced) return fail(output, *unsynced);
  return salvage.hurt().empty() ? Ended::Done : Ended::Failed;
}

}  // namespace rockdove::cli
