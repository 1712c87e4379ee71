#include "dns/cares_resolver.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <ares.h>
#include <uv.h>

#include "dns/message.h"
#include "mta/net/uv_handle.h"
#include "mta/net/uv_loop.h"

namespace rockdove::dns {
namespace {

constexpr int kEdnsOctets = 1232;  // passes without fragments; DNS flag day 2020
constexpr int kClassInternet = 1;
// Hundreds of questions in one go overflow the sockets' buffers on both sides, and what is lost
// waits for its time-out (1,000 to knotd at once took 5 s, in bursts 0.1 s).
constexpr std::size_t kBurstMax = 20;
constexpr base::Duration kBurstPause = std::chrono::milliseconds(1);
constexpr int kReceiveBufferOctets = 256 * 1024;
// c-ares asks the first server first, each time, however often it was silent. So a server that was
// is asked last for this long; then the order is the operator's again.
constexpr base::Duration kLastFor = std::chrono::minutes(10);
// Sets of servers whose last questions are still under way. Beyond it the order stays as it is.
constexpr std::size_t kChannelsMax = 4;

// c-ares keeps global state that must be made once, before the first channel.
bool is_library_ready() {
  static const bool is_ready = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return is_ready;
}

class CaresResolver final : public Resolver {
 public:
  explicit CaresResolver(net::UvLoop& loop)
      : loop_(loop),
        self_(std::make_shared<CaresResolver*>(this)),
        timer_(loop.make_timer([this] { on_time(); })) {}

  ~CaresResolver() override {
    self_.reset();
    // Each calls back for its questions (with ARES_EDESTRUCTION) and closes its sockets.
    channels_.clear();
  }

  CaresResolver(const CaresResolver&) = delete;
  CaresResolver& operator=(const CaresResolver&) = delete;

  base::Result<void> open(const CaresSettings& settings) {
    settings_ = settings;
    if (settings_.servers.size() > kServersMax) settings_.servers.resize(kServersMax);
    return open_channel();
  }

  void query(std::string name, RecordType type, Done done) override {
    std::optional<std::string> normal = question_name(name);
    if (!normal) {
      finish(std::move(done), failure(Status::BadName, name, type, name_of(Status::BadName)));
      return;
    }
    const base::Instant deadline = loop_.now().instant + kQuestionTimeMax;
    waiting_.push_back(std::make_unique<Question>(
        Question{this, std::move(*normal), type, std::move(done), deadline, {}}));
    start_more();
  }

 private:
  // What c-ares knows of the servers, in one order of theirs. It cannot take another order while
  // questions are open, so then a new one is made, and the old one goes with its last answer.
  struct Channel {
    Channel() = default;

    ~Channel() {
      if (handle != nullptr) ares_destroy(handle);
    }

    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    ares_channel handle = nullptr;
    std::size_t open = 0;  // questions
  };

  // From ares_query() on it belongs to c-ares, and dies in on_answer(). Our own deadline may answer
  // it before that; then it has no `done` any more and stands in no list.
  struct Question {
    CaresResolver* resolver;
    std::string name;
    RecordType type;
    Done done;
    base::Instant deadline;
    std::list<Question*>::iterator place;  // in under_way_
    Channel* channel = nullptr;
    base::Instant started{};
    bool is_slow = false;
  };

  // Makes a channel that asks the server number `first_` first; questions go there from now on.
  base::Result<void> open_channel() {
    ares_options options{};
    options.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
    options.timeout = static_cast<int>(std::min(settings_.timeout, kQuestionTimeMax).count());
    options.tries = static_cast<int>(std::clamp(settings_.tries, 1U, 10U));
    options.ednspsz = kEdnsOctets;
    options.socket_receive_buffer_size = kReceiveBufferOctets;
    options.sock_state_cb = on_socket_state;
    options.sock_state_cb_data = this;
    auto channel = std::make_unique<Channel>();
    const int status =
        ares_init_options(&channel->handle, &options,
                          ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
                              ARES_OPT_SOCK_RCVBUF | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
      channel->handle = nullptr;
      return base::Error(std::string("starting c-ares: ") + ares_strerror(status));
    }
    if (settings_.servers.empty()) {
      settings_.servers = servers_of(channel->handle);
    } else if (const base::Result<void> set = set_servers(channel->handle); !set) {
      return set;
    }
    channels_.push_back(std::move(channel));
    return {};
  }

  base::Result<void> set_servers(ares_channel handle) const {
    std::string list;
    for (std::size_t i = 0; i < settings_.servers.size(); ++i) {
      if (i > 0) list += ',';
      const std::size_t index = (first_ + i) % settings_.servers.size();
      list += base::format_socket_address(settings_.servers[index]);
    }
    const int status = ares_set_servers_ports_csv(handle, list.c_str());
    if (status == ARES_SUCCESS) return {};
    return base::Error("using the name servers " + list + ": " + ares_strerror(status));
  }

  // Those that c-ares has read from /etc/resolv.conf.
  static std::vector<base::SocketAddress> servers_of(ares_channel handle) {
    constexpr std::uint16_t kPort = 53;
    std::vector<base::SocketAddress> servers;
    ares_addr_port_node* first = nullptr;
    if (ares_get_servers_ports(handle, &first) != ARES_SUCCESS) return servers;
    for (const ares_addr_port_node* node = first; node != nullptr && servers.size() < kServersMax;
         node = node->next) {
      std::array<std::uint8_t, 4> v4{};
      std::array<std::uint8_t, 16> v6{};
      base::SocketAddress server;
      if (node->family == AF_INET) {
        std::memcpy(v4.data(), &node->addr.addr4, v4.size());
        server.ip = base::IpAddress::v4(v4);
      } else {
        std::memcpy(v6.data(), &node->addr.addr6, v6.size());
        server.ip = base::IpAddress::v6(v6);
      }
      server.port = node->udp_port > 0 ? static_cast<std::uint16_t>(node->udp_port) : kPort;
      servers.push_back(server);
    }
    ares_free_data(first);
    return servers;
  }

  // Asks the server number `first` first from now on. When that cannot be, the order stays.
  void ask_first(std::size_t first, base::Instant now) {
    if (channels_.size() >= kChannelsMax) return;
    const std::size_t before = std::exchange(first_, first);
    if (!open_channel()) {
      first_ = before;
      return;
    }
    order_until_ = first == 0 ? base::kNever : now + kLastFor;
  }

  // The first server left questions open that another one answered. Never within a callback of
  // c-ares.
  void reorder() {
    const base::Instant now = loop_.now().instant;
    if (std::exchange(first_is_silent_, false)) {
      ask_first((first_ + 1) % settings_.servers.size(), now);
    } else if (order_until_ <= now) {
      ask_first(0, now);
    }
    while (channels_.size() > 1 && channels_.front()->open == 0) channels_.pop_front();
  }

  void start_more() {
    reorder();
    const base::Instant now = loop_.now().instant;
    if (now >= burst_end_) {
      burst_ = 0;
      burst_end_ = now + kBurstPause;
    }
    find_slow(now);
    while (!waiting_.empty() && may_start()) {
      ++burst_;
      Question* question = waiting_.front().release();
      waiting_.pop_front();
      ++in_cares_;
      ++prompt_;
      question->started = now;
      Channel& channel = *channels_.back();
      ++channel.open;
      question->channel = &channel;
      question->place = under_way_.insert(under_way_.end(), question);
      if (first_prompt_ == under_way_.end()) first_prompt_ = question->place;
      // May call back at once when it fails.
      ares_query(channel.handle, question->name.c_str(), kClassInternet,
                 static_cast<int>(wire_type(question->type)), on_answer, question);
    }
    set_timer();
  }

  [[nodiscard]] bool may_start() const { return has_place() && burst_ < kBurstMax; }

  [[nodiscard]] bool has_place() const {
    return prompt_ < kQuestionsAtOnceMax && in_cares_ < kQuestionsOpenMax;
  }

  // They were started in the order of the list.
  void find_slow(base::Instant now) {
    while (first_prompt_ != under_way_.end() && (*first_prompt_)->started + kSlowAfter <= now) {
      (*first_prompt_)->is_slow = true;
      --prompt_;
      ++first_prompt_;
    }
  }

  void no_more_under_way(Question& question) {
    if (!question.is_slow) --prompt_;
    question.is_slow = true;
    if (first_prompt_ == question.place) ++first_prompt_;
    under_way_.erase(question.place);
  }

  // c-ares must not be destroyed within its callback (it would free the query twice), and `done`
  // may do just that: so the answer is only noted here.
  static void on_answer(void* argument, int status, int timeouts, unsigned char* reply,
                        int octets) {
    const std::unique_ptr<Question> question(static_cast<Question*>(argument));
    CaresResolver& self = *question->resolver;
    --self.in_cares_;
    --question->channel->open;
    if (self.self_ != nullptr && timeouts > 0 && reply != nullptr &&
        self.settings_.servers.size() > 1 && question->channel == self.channels_.back().get()) {
      self.first_is_silent_ = true;
    }
    if (!question->done) return;
    self.no_more_under_way(*question);
    if (self.self_ == nullptr) return;  // we are being destroyed
    self.finish(std::move(question->done), answer_of(*question, status, reply, octets));
  }

  static Answer answer_of(const Question& question, int status, const unsigned char* reply,
                          int octets) {
    // With a reply the status only repeats what stands in it: no data, no such name.
    if (reply != nullptr && octets > 0) {
      return read_reply({reinterpret_cast<const char*>(reply), static_cast<std::size_t>(octets)},
                        question.name, question.type);
    }
    if (status == ARES_ETIMEOUT) {
      return failure(Status::TimedOut, question.name, question.type, "no name server answered");
    }
    return failure(Status::ServerFailure, question.name, question.type, ares_strerror(status));
  }

  void finish(Done done, Answer answer) {
    answered_.emplace_back(std::move(done), std::make_shared<const Answer>(std::move(answer)));
    if (answered_.size() > 1) return;
    loop_.post([self = std::weak_ptr(self_)] {
      auto alive = self.lock();
      if (alive == nullptr) return;
      CaresResolver& resolver = **alive;
      alive.reset();  // else its end in a callback would go unnoticed
      resolver.call_back();
    });
  }

  void call_back() {
    std::vector<std::pair<Done, AnswerPointer>> answered;
    answered.swap(answered_);
    start_more();
    const std::weak_ptr<CaresResolver*> self = self_;
    for (auto& [done, answer] : answered) {
      done(std::move(answer));
      if (self.expired()) return;
    }
  }

  static void on_socket_state(void* argument, ares_socket_t socket, int readable, int writable) {
    static_cast<CaresResolver*>(argument)->watch(
        socket, (readable != 0 ? UV_READABLE : 0) | (writable != 0 ? UV_WRITABLE : 0));
  }

  // No events: c-ares is about to close the socket.
  void watch(ares_socket_t socket, int events) {
    auto known = polls_.find(socket);
    if (events == 0) {
      if (known == polls_.end()) return;
      net::close_and_delete(known->second);
      polls_.erase(known);
      return;
    }
    if (known == polls_.end()) {
      auto poll = std::make_unique<uv_poll_t>();
      // When it cannot be watched the question ends by its time-out.
      if (uv_poll_init(net::UvHandleAccess::loop_of(loop_), poll.get(), socket) != 0) return;
      poll->data = this;
      known = polls_.emplace(socket, poll.release()).first;
    }
    uv_poll_start(known->second, events, on_poll);
  }

  static void on_poll(uv_poll_t* poll, int status, int events) {
    auto* self = static_cast<CaresResolver*>(poll->data);
    self->loop_.begin_turn();
    uv_os_fd_t socket = -1;
    uv_fileno(reinterpret_cast<uv_handle_t*>(poll), &socket);
    // On an error c-ares shall read and write, and so learn of it.
    const bool has_failed = status < 0;
    const bool can_read = has_failed || (events & UV_READABLE) != 0;
    const bool can_write = has_failed || (events & UV_WRITABLE) != 0;
    // Those to whom the socket does not belong do nothing about it.
    for (const std::unique_ptr<Channel>& channel : self->channels_) {
      ares_process_fd(channel->handle, can_read ? socket : ARES_SOCKET_BAD,
                      can_write ? socket : ARES_SOCKET_BAD);
    }
    self->set_timer();  // `poll` may be closed by now
  }

  void on_time() {
    for (const std::unique_ptr<Channel>& channel : channels_)
      ares_process_fd(channel->handle, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    const base::Instant now = loop_.now().instant;
    while (!under_way_.empty() && under_way_.front()->deadline <= now) {
      Question& question = *under_way_.front();
      no_more_under_way(question);
      time_out(question);
    }
    while (!waiting_.empty() && waiting_.front()->deadline <= now) {
      time_out(*waiting_.front());
      waiting_.pop_front();
    }
    start_more();
  }

  void time_out(Question& question) {
    Done done = std::exchange(question.done, Done());
    finish(std::move(done), failure(Status::TimedOut, question.name, question.type,
                                    "no answer within " + base::format_duration(kQuestionTimeMax)));
  }

  void set_timer() {
    base::Instant at = base::kNever;
    if (!waiting_.empty()) {
      at = has_place() ? burst_end_ : waiting_.front()->deadline;
      if (prompt_ >= kQuestionsAtOnceMax && first_prompt_ != under_way_.end()) {
        at = std::min(at, (*first_prompt_)->started + kSlowAfter);
      }
    }
    if (!under_way_.empty()) at = std::min(at, under_way_.front()->deadline);
    for (const std::unique_ptr<Channel>& channel : channels_) {
      timeval left{};
      if (ares_timeout(channel->handle, nullptr, &left) == nullptr) continue;
      // A millisecond more, so that c-ares, which counts microseconds, agrees that it is over.
      const auto wait = std::chrono::seconds(left.tv_sec) +
                        std::chrono::microseconds(left.tv_usec) + std::chrono::milliseconds(1);
      at = std::min(at, loop_.now().instant + wait);
    }
    timer_->set(at);
  }

  net::UvLoop& loop_;
  std::shared_ptr<CaresResolver*> self_;  // posted tasks hold it weakly
  std::unique_ptr<base::Timer> timer_;
  CaresSettings settings_;
  std::size_t first_ = 0;                     // of settings_.servers: whom channels_.back() asks
  base::Instant order_until_ = base::kNever;  // then first_ is 0 again
  bool first_is_silent_ = false;
  std::deque<std::unique_ptr<Channel>> channels_;  // the last one takes questions
  std::unordered_map<ares_socket_t, uv_poll_t*> polls_;
  std::deque<std::unique_ptr<Question>> waiting_;  // not yet told to c-ares
  std::list<Question*> under_way_;                 // in order of their starts and deadlines
  std::list<Question*>::iterator first_prompt_ = under_way_.end();  // the first that is not slow
  std::size_t prompt_ = 0;                                          // under way and not slow
  std::size_t in_cares_ = 0;
  std::size_t burst_ = 0;  // started before burst_end_
  base::Instant burst_end_{};
  std::vector<std::pair<Done, AnswerPointer>> answered_;
};

}  // namespace

base::Result<std::unique_ptr<Resolver>> make_cares_resolver(net::UvLoop& loop,
                                                            const CaresSettings& settings) {
  if (!is_library_ready()) return base::Error("c-ares cannot be initialised");
  auto resolver = std::make_unique<CaresResolver>(loop);
  if (const base::Result<void> opened = resolver->open(settings); !opened) return opened.error();
  return std::unique_ptr<Resolver>(std::move(resolver));
}

}  // namespace rockdove::dns
