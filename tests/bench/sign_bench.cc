// How fast mail is signed: sign_bench sign|bare THREADS SECONDS. `sign`: messages of 4 KiB through
// DkimSigner, one RSA-2048 signature each, on a pool of workers as the daemon has it. `bare`: only
// the RSA signatures, by the same OpenSSL. Prints signatures a second, and a second of processor
// time. contrib/bench/sign runs it.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include <sys/resource.h>

#include "mta/base/workers.h"
#include "policy/dkim_signer.h"

namespace {

using namespace rockdove;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBodyOctets = 4096;
constexpr std::size_t kPieceOctets = 1400;  // as it might come from a network

const std::string kHeader =
    "Received: from client.example ([192.0.2.1]) by relay.example with ESMTPS id 4Bcdf0ghJK;\r\n"
    "\tSun, 22 Nov 2026 12:00:00 +0000\r\n"
    "From: Jane Doe <jane@signed.example>\r\nTo: Joe <joe@example.org>\r\n"
    "Subject: a message of four kilobytes\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n"
    "Message-ID: <20261122120000.1@signed.example>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";

std::string make_body() {
  std::string body;
  while (body.size() < kBodyOctets)
    body += "Lorem ipsum dolor sit amet,  consectetur adipiscing elit, sed do eiusmod\r\n";
  return body;
}

double processor_seconds() {
  rusage used = {};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Runs `once` on all workers, several waiting for each, until the time is over.
class Load {
 public:
  Load(unsigned threads, Clock::duration time, std::function<void()> once)
      : once_(std::move(once)), end_(Clock::now() + time), pool_(threads, 1024) {
    constexpr unsigned kWaiting = 8;
    running_ = threads * kWaiting;
    for (unsigned i = 0; i < running_; ++i) go_on();
  }

  std::size_t wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return running_ == 0; });
    return done_;
  }

 private:
  void go_on() {
    if (!pool_.post([this] { run(); })) std::abort();
  }

  void run() {
    if (Clock::now() < end_) {
      once_();
      ++done_;
      return go_on();
    }
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) ended_.notify_all();
  }

  const std::function<void()> once_;
  const Clock::time_point end_;
  std::atomic<std::size_t> done_ = 0;
  std::mutex mutex_;
  std::condition_variable ended_;
  unsigned running_ = 0;
  base::WorkerPool pool_;  // the last, so that it ends first
};

}  // namespace

int main(int count, char** arguments) {
  const std::string_view what = count == 4 ? arguments[1] : "";
  const auto threads = static_cast<unsigned>(count == 4 ? std::atoi(arguments[2]) : 0);
  const int seconds = count == 4 ? std::atoi(arguments[3]) : 0;
  if ((what != "sign" && what != "bare") || threads == 0 || seconds <= 0) {
    std::fputs("sign_bench sign|bare THREADS SECONDS\n", stderr);
    return 2;
  }
  const auto key = policy::SigningKey::make(crypto::KeyKind::Rsa);
  const auto identity = std::make_shared<const policy::DkimIdentity>(
      policy::DkimIdentity{"signed.example", "s1", key, policy::default_signed_headers(),
                           policy::default_oversigned_headers(), mail::Canonicalization::Relaxed,
                           mail::Canonicalization::Relaxed});
  const std::string body = make_body();
  const base::WallTime now = base::read_clocks().wall;
  const auto sign = [&] {
    policy::DkimSigner signer({identity});
    for (std::size_t at = 0; at < body.size(); at += kPieceOctets)
      signer.take_body(std::string_view(body).substr(at, kPieceOctets));
    signer.body_ended();
    if (signer.sign(kHeader, now).size() < 400) std::abort();
  };
  const crypto::Digest digest = crypto::sha256(body);
  const auto bare = [&] {
    if (key->sign(digest).size() != 256) std::abort();
  };
  const double processor_before = processor_seconds();
  const auto before = Clock::now();
  Load load(threads, std::chrono::seconds(seconds),
            what == "sign" ? std::function<void()>(sign) : std::function<void()>(bare));
  const auto done = static_cast<double>(load.wait());
  const std::chrono::duration<double> took = Clock::now() - before;
  std::printf("%.1f %.1f\n", done / took.count(), done / (processor_seconds() - processor_before));
  return 0;
}
