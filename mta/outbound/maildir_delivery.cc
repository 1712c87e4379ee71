#include "mta/outbound/maildir_delivery.h"

#include <atomic>
#include <utility>

namespace rockdove::outbound {
namespace {

// Over all loops: names of files must differ.
std::uint64_t next_count() {
  static std::atomic<std::uint64_t> count{0};
  return ++count;
}

}  // namespace

// One visit of the folder's thread. It owns what it works with: nobody may wait for it.
struct MaildirDelivery::Step {
  std::shared_ptr<MaildirFile> file;
  std::string head;
  std::shared_ptr<const std::string> octets;  // null: none
  bool is_last = false;
  MaildirError error;
  // Whoever changes it first decides: the thread, that the file comes into new/, or the loop, that
  // it never does.
  enum class Fate : std::uint8_t { Open, Finishing, Withdrawn };
  std::atomic<Fate> fate{Fate::Open};

  // Whether it was still open.
  [[nodiscard]] bool decide(Fate as) {
    Fate open = Fate::Open;
    return fate.compare_exchange_strong(open, as);
  }

  void run() {
    write();
    file.reset();  // if the delivery has gone, what is unfinished is removed here, not on a loop
  }

  void write() {
    if (fate == Fate::Withdrawn) return;
    if (error = file->write(head); !error.is_none()) return;
    if (octets != nullptr) error = file->write(*octets);
    if (error.is_none() && is_last && decide(Fate::Finishing)) error = file->finish();
  }
};

MaildirDelivery::MaildirDelivery(base::Loop& loop, queue::Store& store, FileThreads& threads,
                                 std::string folder, std::string host_name, const queue::Job& job,
                                 Done done)
    : loop_(loop),
      store_(store),
      threads_(threads),
      folder_(std::move(folder)),
      host_name_(std::move(host_name)),
      job_(job),
      done_(std::move(done)),
      timer_(loop.make_timer([this] {
        // Not from the timer's own call, because the timer ends by it.
        loop_.at_turn_end([self = self_] {
          if (*self != nullptr) (*self)->overdue();
        });
      })),
      self_(std::make_shared<MaildirDelivery*>(this)) {}

MaildirDelivery::~MaildirDelivery() {
  *self_ = nullptr;
  drop_file();
}

// Its end may remove what is unfinished, which is the thread's work.
void MaildirDelivery::drop_file() {
  if (file_ == nullptr) return;
  threads_.run(
      folder_, [file = std::move(file_)]() mutable { file.reset(); }, [] {});
}

void MaildirDelivery::start() {
  begin_recipient();
}

void MaildirDelivery::begin_recipient() {
  const queue::Message& message = *job_.message;
  const queue::Delivery& delivery = job_.deliveries[outcome_.results.size()];
  name_ = maildir_name(loop_.now().wall, next_count(), host_name_);
  file_ = std::make_shared<MaildirFile>(folder_, name_);
  head_ = final_header(message.sender, delivery.recipient, message.header_block);
  next_chunk_ = 0;
  if (message.body != nullptr) return write(message.body, /*is_last=*/true);
  if (message.body_chunks == 0) return write(nullptr, /*is_last=*/true);
  read_chunk();
}

void MaildirDelivery::read_chunk() {
  store_.read_chunk(loop_, job_.message->id, next_chunk_,
                    [self = self_](base::Result<std::shared_ptr<const std::string>> octets) {
                      MaildirDelivery* delivery = *self;
                      if (delivery == nullptr) return;
                      if (!octets) {
                        delivery->outcome_.read_error = octets.error().text();
                        return delivery->finish();
                      }
                      const bool is_last =
                          ++delivery->next_chunk_ == delivery->job_.message->body_chunks;
                      delivery->write(std::move(octets).value(), is_last);
                    });
}

void MaildirDelivery::write(std::shared_ptr<const std::string> octets, bool is_last) {
  auto step = std::make_shared<Step>();
  step->file = file_;
  step->head = std::exchange(head_, {});
  step->octets = std::move(octets);
  step->is_last = is_last;
  step_ = step;
  step_until_ = loop_.now().instant + kStepTimeMax;
  timer_->set(step_until_);
  threads_.run(
      folder_, [step] { step->run(); },
      [self = self_, step] {
        if (*self != nullptr && (*self)->step_ == step) (*self)->step_done(*step);
      });
}

void MaildirDelivery::step_done(const Step& step) {
  step_ = nullptr;
  timer_->set(base::kNever);
  if (step.error.is_none() && !step.is_last) return read_chunk();
  if (!step.error.is_none()) drop_file();
  smtp::RecipientResult result;
  if (step.error.is_none()) {
    result.stage = smtp::Stage::FinalDot;
    result.reply = smtp::make_reply(250, "2.0.0", "new/" + name_);
  } else {
    const MaildirAdvice advice = advice_on(step.error, folder_);
    const smtp::Reply reply = smtp::make_reply(advice.code, advice.enhanced, advice.text);
    if (step.error.is_uncertain) {
      result.stage = smtp::Stage::FinalDot;
      outcome_.uncertain = reply;
    } else {
      result = {smtp::Stage::Connect, reply};
    }
  }
  outcome_.results.push_back(result);
  // What went wrong with the folder goes wrong with the next file, too.
  while (!step.error.is_none() && outcome_.results.size() < job_.deliveries.size()) {
    const MaildirAdvice advice = advice_on(step.error, folder_);
    outcome_.results.push_back(
        {smtp::Stage::Connect, smtp::make_reply(advice.code, advice.enhanced, advice.text)});
  }
  if (outcome_.results.size() < job_.deliveries.size()) return begin_recipient();
  finish();
}

void MaildirDelivery::overdue() {
  if (step_ == nullptr || loop_.now().instant < step_until_) return;  // it came just in time
  const smtp::Reply reply = smtp::make_reply(451, "4.3.0",
                                             "the disk of " + folder_ + " did not answer within " +
                                                 base::format_duration(kStepTimeMax) +
                                                 "; look whether its file system hangs");
  const bool is_withdrawn = step_->decide(Step::Fate::Withdrawn);
  step_ = nullptr;
  drop_file();
  if (!is_withdrawn) {
    outcome_.results.push_back({smtp::Stage::FinalDot, {}});
    outcome_.uncertain = reply;
  }
  outcome_.results.resize(job_.deliveries.size(), {smtp::Stage::Connect, reply});
  done_(std::move(outcome_));
}

void MaildirDelivery::finish() {
  outcome_.results.resize(job_.deliveries.size(), {smtp::Stage::Connect, {}});
  done_(std::move(outcome_));
}

}  // namespace rockdove::outbound
